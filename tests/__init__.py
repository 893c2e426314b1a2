"""The tests of Tributary; the folders mirror the packages."""
