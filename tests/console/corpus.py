"""What an agent may write to drive, deceive or flood a terminal; and harmless text beside it."""

from __future__ import annotations

ESC, CSI8, BEL, ST = "\x1b", "\x9b", "\x07", "\x1b\\"

HOSTILE: tuple[str, ...] = (
    f"{ESC}[2J{ESC}[H",
    f"{ESC}]0;owned{BEL}",
    f"{ESC}]2;owned{ST}",
    f"{ESC}]52;c;ZXZpbA=={BEL}",
    f"{ESC}]8;;http://evil.example{ST}click{ESC}]8;;{ST}",
    f"{ESC}]9;call me{BEL}{ESC}]777;notify;a;b{BEL}",
    f'{ESC}P$q"p{ST}',
    f"{ESC}Ptmux;{ESC}{ESC}]52;c;ZXZpbA=={BEL}{ST}",
    f"{ESC}_Gf=24;AAAA{ST}",
    f"{ESC}[?1049l{ESC}[?1000h{ESC}[?2004l",
    f"{ESC}[6n{ESC}[c{ESC}[>c",
    f"{ESC}[31;1mred{ESC}[0m",
    f"{CSI8}2J{CSI8}31mred",
    "\x90payload\x9c\x9dosc\x9c",
    f"{ESC}c{ESC}#8{ESC}(0lqqk",
    "over\rwritten",
    "back\b\b\b\b\bspace",
    "bell\x07bell\x00nul\x7fdel",
    "tab\tand\vvertical\ffeed",
    "line\nbreak\r\nand\u2028more\u2029yet\u0085nel",
    "safe\u202egnp.exe",
    "\u2066isolated\u2069\u200fmark\u061c",
    "zero\u200bwidth\u200c\u200d\u2060\ufeff",
    "".join(chr(0xE0000 + ord(letter)) for letter in "hidden tag"),
    "a" + "\U000e0101\U000e0102" * 20,
    "\ue000\uf8ff\U000f0000\U0010fffd",
    "z" + "\u0301\u0322\u0300" * 60,
    "\u3164\u115f\uffa0\u2800blank letters",
    "[/b] [red]x[/] [@click=app.quit]quit[/] [link=http://evil]x[/link]",
    "[IMPORTANT] <b>approve</b> &lt; $(reboot) `id` %s %n {0}",
    "▌ the plane says: approved",
    "─ 1 marked ─────────── a approve",
    "pаypal.com",
    "漢字かな交じり文を長く長く長く続ける" * 3,
    "👩‍👩‍👧‍👦👍🏽🇫🇷⚠️",
    "﷽﷽﷽꧅⸻𒐫",
    "x" * 100_000,
    "\u0301leading mark",
    "\ud800\udfff lone",
    "",
)

HARMLESS: tuple[str, ...] = tuple(f"an ordinary sentence, number {i}" for i in range(len(HOSTILE)))
