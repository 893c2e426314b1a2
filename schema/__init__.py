"""The contract: shared types, what a platform is, and how platforms become one schema."""
