"""The two models Vedette ships, and everything needed to make them again."""
