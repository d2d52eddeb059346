"""Takes out of a text what a model wrote as markup for a tool call, in the forms that open models have for it."""

from __future__ import annotations

import re

# Pairs of opening and closing marks, with who writes them. An opening one without its end takes the rest of the text.
_MARKS = (
    (r"<tool_call>", r"</tool_call>"),  # Hermes, Qwen, GLM
    (r"<(?:\w+:)?function_calls>", r"</(?:\w+:)?function_calls>"),  # Claude
    (r"<minimax:tool_call>", r"</minimax:tool_call>"),
    (r"<\Wtool▁calls▁begin\W>", r"<\Wtool▁calls▁end\W>"),  # DeepSeek, whose bar is a wide one
    (r"<\WDSML\Wfunction_calls>", r"</\WDSML\Wfunction_calls>"),
    (r"<\|tool_calls_section_begin\|>", r"<\|tool_calls_section_end\|>"),  # Kimi
    (r"<\|tool_call\|>", r"<\|/tool_call\|>"),  # Phi
    (r"<\|python_tag\|>", r"<\|eom_id\|>"),  # Llama
    (r"\[TOOL_CALLS\]", r"\[/TOOL_CALLS\]"),  # Mistral
    (r"<\|channel\|>commentary to=functions", r"<\|call\|>"),  # gpt-oss
)
_LEAK = "|".join(rf"(?:{begin})(?:(?!{end}).)*(?:{end}|\Z)" for begin, end in _MARKS)
_CODE = r"```.*?(?:```|\Z)|`[^`\n]*`"


def without_tool_markup(text: str) -> str:
    """The text without leaked calls; what stands in code stays, since an answer may be about such markup."""
    if "<" not in text and "[TOOL_CALLS]" not in text:  # how every mark begins; most answers have neither
        return text
    parts: list[str] = []
    done = 0
    code = [found.span() for found in re.finditer(_CODE, text, re.DOTALL)]
    for leak in re.finditer(_LEAK, text, re.DOTALL):
        if leak.start() < done or any(begin < leak.start() < end for begin, end in code):
            continue
        parts.append(text[done : leak.start()])
        done = leak.end()
    return "".join([*parts, text[done:]]).strip() if parts else text
