"""What the user attaches to a question: images, PDFs and text; read, put into messages, and told who saw what."""

from .messages import Saw, message_parts, names_for_others, told
from .reading import Attachment, attachment_of, attachments_of

__all__ = [
    "Attachment",
    "Saw",
    "attachment_of",
    "attachments_of",
    "message_parts",
    "names_for_others",
    "told",
]
