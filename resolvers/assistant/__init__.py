"""The AI assistant: what its work adds to use."""

from schema.platform import SUPPLIES_USAGE, EnumValue, Platform

PLATFORM = Platform(
    key="assistant",
    name="AI assistant",
    areas=(SUPPLIES_USAGE,),
    enum_values={
        "UsageMetric": (
            EnumValue("TRANSLATIONS", "Texts translated."),
            EnumValue("REPLIES", "Replies drafted."),
            EnumValue("WRITES", "Texts written."),
            EnumValue("AI_TOKENS", "Tokens of language models, in and out."),
            EnumValue("AI_COST_MICROS", "What language models cost, in millionths of a US dollar."),
        )
    },
)
