"""What a citizen opens from a message: the whole alert, and the way to leave."""

from alerting.citizen.pages import router

__all__ = ["router"]
