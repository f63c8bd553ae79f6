"""The pages a citizen opens from a message: the whole alert, and unsubscribing."""

from alerting.citizen.pages import router

__all__ = ["router"]
