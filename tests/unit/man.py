# SPDX-License-Identifier: GPL-2.0-only
"""Manual pages held to what the programs say of themselves. Prints TAP; run by test_man.sh."""
import os
import re
import subprocess
import sys
import tempfile

BUILD = sys.argv[1]
PAGES = {
    "sluiced": "user/agent/sluiced.8",
    "sluice-proxy": "user/ingress/sluice-proxy.8",
    "sluicectl": "user/cli/sluicectl.8",
}
failed = 0
told = 0


def tell(what, *troubles):
    global failed, told
    told += 1
    failed += bool(troubles)
    print("not ok" if troubles else "ok", told, what)
    for trouble in troubles:
        print("#", trouble)


def say(program, *args):
    # Variables of the caller are options to the daemons.
    env = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
    return subprocess.run([f"{BUILD}/{program}", *args, "--help"], env=env, text=True, check=True,
                          stdout=subprocess.PIPE).stdout


def options_of_help(text):
    """name → default or None; a line of an option begins with spaces and its flags."""
    items = re.findall(r"^ +(?:-\w, )?--([a-z0-9-]+)((?:.|\n(?! *(?:-\w, )?--)(?!\n))*)", text, re.M)
    found = {}
    for name, rest in items:
        default = re.search(r"\((?:default )?([^() ]+)\)\s*$", rest)
        found[name] = default.group(1) if default else None
    return found


def section(page, name):
    return re.search(rf"^\.S[hs] {name}$(.*?)(?=^\.Sh |\Z)", page, re.M | re.S).group(1)


def plain(item):
    """Without macros: what a reader sees, nearly."""
    return " ".join(re.sub(r"^\.(?:Pa|Cm|Ev|Nm|Fl|Xr|Ar|Ql|Dq|Li|Pq) ", "", line) for line in item.splitlines())


def options_of_page(page):
    """name → text of its item, down to the next one."""
    options = section(page, "Options" if "\n.Ss Options\n" in page else "OPTIONS")
    found = {}
    for item in re.split(r"^\.It ", options, flags=re.M)[1:]:
        head, _, body = item.partition("\n")
        for name in re.findall(r"Fl -([a-z0-9-]+)", head):
            found[name] = plain(body)
    return found


def compare(program, said, page):
    troubles = [f"--{name} is not in the page" for name in said if name not in page]
    troubles += [f"--{name} of the page is no option" for name in page if name not in said]
    for name, default in said.items():
        if default and name in page and not re.search(rf"(?i)\bdefault:? {re.escape(default)}\b", page[name]):
            troubles.append(f"--{name}: the default {default} is not in the page")
    tell(f"{program}: options of --help and of the page are the same", *troubles)


for program, path in PAGES.items():
    with open(path, encoding="utf-8") as f:
        page = f.read()
    said = options_of_help(say(program))
    if program == "sluicectl":
        commands = re.findall(r"^  ([a-z]+) {2,}\S", say(program), re.M)
        described = re.findall(r"^\.It Cm ([a-z]+)", section(page, "Commands"), re.M)
        tell("sluicectl: commands of --help and of the page are the same",
             *sorted(f"{c}: only in one of them" for c in set(commands) ^ set(described)))
        for command in commands:
            said |= options_of_help(say(program, command))
        said |= {"help": None, "version": None}
    tell(f"{program}: --help lists options", *([] if len(said) > 10 else [f"only {sorted(said)}"]))
    compare(program, said, options_of_page(page))

with tempfile.TemporaryDirectory() as root:
    make = subprocess.run(["make", "-s", "-o", "all", "install", f"DESTDIR={root}", "PREFIX=/usr"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    missing = [f"{p}.8" for p in PAGES if not os.path.exists(f"{root}/usr/share/man/man8/{p}.8")]
    tell("make install puts the pages into man8", *(missing or ([] if make.returncode == 0 else [make.stdout])))
    subprocess.run(["make", "-s", "uninstall", f"DESTDIR={root}", "PREFIX=/usr"], check=False)
    left = [os.path.join(d, f) for d, _, files in os.walk(root) for f in files]
    tell("make uninstall leaves no file", *left)

print(f"1..{told}")
sys.exit(failed > 0)
