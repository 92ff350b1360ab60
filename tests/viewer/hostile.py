"""Documents by somebody who means harm, or who merely writes in all the ways that people write in."""

_LINES = (
    "<script>document.title='owned'</script>",
    '<img src=x onerror="document.title=1">',
    "</span></main><iframe src='//evil.example'>",
    "{{ 7 * 7 }} {% raw %} ${7*7} javascript:alert(1)",
    "&lt;b&gt; &amp;amp; \" ' ` ]]> -->",
    "bell\x07 escape\x1b[31mred",
    "right to left: \u0627\u0644\u0633\u0644\u0627\u0645 \u05e9\u05dc\u05d5\u05dd and \u202eoverridden\u202c",
    "family \U0001f468\u200d\U0001f469\u200d\U0001f467 flag \U0001f1e9\U0001f1ea e\u0301",
    "x" * 400,
)

DOCUMENTS = {
    f"hostile{number:02d}.txt": "\n".join((*_LINES[number % len(_LINES) :], *_LINES[: number % len(_LINES)]))
    for number in range(12)
}

LIVE = ("<script>document", "<img src=x", "<iframe", "\x00", "\x07", "\x1b", "\u202e", ">49<")
"""What must stand in no page: markup that lives, characters that act, templates that were computed."""
