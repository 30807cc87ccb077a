"""HTML and Markdown that would like to act on a page."""

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[a](javascript:alert(1))",
    "<a href='JaVaScRiPt:alert(1)' target=_blank>a</a><area href=javascript:x><a href=vbscript:x>b</a>",
    '<a href="data:text/html,<script>1</script>">a</a>',
    "<iframe src=//x></iframe><object data=x></object><embed src=x><form action=x><button>b</button></form>",
    '<p style="position:fixed;top:0" onclick=x class="chip">a</p><td style="background:url(//x)">',
    "<style>body{display:none}</style><link rel=stylesheet href=//x><base href=//x><meta http-equiv=refresh content=0>",
    "<svg onload=x><script>1</script></svg><math><mtext></mtext></math>",
    "</main></div></body><script>x</script><!-- <b> -->",
    "![a](data:image/svg+xml;base64,AAAA)",
    '<details ontoggle=x open><summary>s</summary></details><input type=text autofocus onfocus=x><input type=checkbox name="a">',
]
