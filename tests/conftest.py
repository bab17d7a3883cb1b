"""What all tests share: hypothesis without a deadline, because a loaded machine is slow and not wrong."""

from hypothesis import settings

settings.register_profile("vedette", deadline=None)
settings.load_profile("vedette")
