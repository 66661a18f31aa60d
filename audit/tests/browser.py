#!/usr/bin/env python3
"""Looks at a page in headless Chromium, as the people who read it do.

    browser.py PAGE.html [PICTURE.png]

It must render at 400 and at 1,200 pixels without anything leaving the page sideways, in light and in
dark, every text with the contrast that WCAG 2.2 AA asks for, the console silent, and it must print
on A4. With PICTURE.png, that is what it looks like. Needs Debian's chromium.
"""

import functools
import html
import http.server
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading

# The page in frames of these widths, since a window of Chromium is never so narrow. The page around
# the frames measures them, so the page itself needs no script.
PROBE = """<!doctype html><meta charset="utf-8"><body style="margin:0"><script>
const widths = [400, 1200];
const colour = text => {
  const parts = (text.match(/[\\d.]+/g) || []).map(Number);
  return parts.length < 3 ? [0, 0, 0, 0] : [parts[0], parts[1], parts[2], parts[3] ?? 1];
};
const light = ([r, g, b]) => {
  const [x, y, z] = [r, g, b].map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * x + .7152 * y + .0722 * z;
};
const behind = element => {
  for (let e = element; e; e = e.parentElement) {
    const back = colour(e.ownerDocument.defaultView.getComputedStyle(e).backgroundColor);
    if (back[3] === 1) return back;
  }
  return [255, 255, 255, 1];
};
function measure(frame, width) {
  const doc = frame.contentDocument, view = frame.contentWindow, faults = [];
  const page = doc.documentElement;
  if (page.scrollWidth > page.clientWidth)
    faults.push(`at ${width} px the page is ${page.scrollWidth} px wide`);
  let texts = 0, worst = 99;
  for (const element of doc.querySelectorAll('body *')) {
    const style = view.getComputedStyle(element), box = element.getBoundingClientRect();
    if (!box.width || style.visibility === 'hidden' || style.clipPath !== 'none') continue;
    if (element.closest('thead') && style.position === 'absolute') continue;
    const hidden = element.closest('thead');
    if (hidden && view.getComputedStyle(hidden).clipPath !== 'none') continue;
    if (box.right > page.clientWidth + 1) faults.push(`at ${width} px ${element.tagName} ends at ${box.right}`);
    const own = [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own) continue;
    texts++;
    const fore = colour(element.namespaceURI.endsWith('svg') ? style.fill : style.color);
    const [a, b] = [light(fore), light(behind(element))].sort((x, y) => y - x);
    const contrast = (a + .05) / (b + .05);
    worst = Math.min(worst, contrast);
    if (contrast < 4.5) faults.push(`${element.tagName}.${element.className}: contrast ${contrast.toFixed(2)}`);
  }
  if (texts < 20) faults.push(`at ${width} px only ${texts} texts are shown`);
  for (const kind of ['h1', '[role=status]', 'svg[role=img][aria-label]', 'th[scope]', 'html[lang]', 'title'])
    if (!doc.querySelector(kind)) faults.push(`there is no ${kind}`);
  if (doc.querySelector('script')) faults.push('there is a script');
  return {width, texts, worst: Number(worst.toFixed(2)), faults};
}
Promise.all(widths.map(width => new Promise(done => {
  const frame = document.createElement('iframe');
  frame.width = width; frame.height = 900; frame.src = 'page.html'; frame.style.border = 0;
  frame.onload = () => done(measure(frame, width));
  document.body.append(frame);
}))).then(results => { document.body.dataset.results = JSON.stringify(results); });
</script>"""


def chromium():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if shutil.which(name):
            return name
    sys.exit("browser.py: there is no chromium: apt-get install chromium")


def run(*arguments):
    with tempfile.TemporaryDirectory() as profile:
        command = [
            chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
            "--disable-background-networking", "--no-first-run", f"--user-data-dir={profile}",
            "--enable-logging=stderr", "--v=0", *arguments,
        ]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=240)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    page = pathlib.Path(sys.argv[1])
    if not page.is_file():
        sys.exit(f"browser.py: there is no {page}: the audit's tests write it")
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        shutil.copy(page, folder / "page.html")
        (folder / "probe.html").write_text(PROBE)
        handler = functools.partial(Quiet, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        origin = f"http://127.0.0.1:{server.server_port}"
        try:
            for scheme in ("light", "dark"):
                setting = [f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}"]
                probed = run(*setting, "--virtual-time-budget=20000", "--dump-dom", f"{origin}/probe.html")
                found = re.search(r'data-results="([^"]*)"', probed.stdout)
                if not found:
                    sys.exit(f"browser.py: the page was not measured:\n{probed.stderr[-2000:]}")
                for result in json.loads(html.unescape(found[1])):
                    print(f"{scheme}, {result['width']} px: {result['texts']} texts, least contrast {result['worst']}")
                    faults += [f"{scheme}: {fault}" for fault in result["faults"]]
                said = run(*setting, "--virtual-time-budget=20000", "--dump-dom", f"{origin}/page.html")
                faults += [line for line in said.stderr.splitlines() if ":CONSOLE" in line]
            pdf = folder / "page.pdf"
            run("--no-pdf-header-footer", f"--print-to-pdf={pdf}", f"{origin}/page.html")
            sheets = pdf.read_bytes()
            boxes = set(re.findall(rb"/MediaBox \[([^\]]*)\]", sheets))
            print(f"printed: {len(re.findall(rb'/MediaBox', sheets))} pages")
            for box in boxes:
                _, _, width, height = (float(number) for number in box.split())
                if abs(width - 595) > 2 or abs(height - 842) > 2:
                    faults.append(f"printed on {width} x {height} points, which is not A4")
            if not boxes:
                faults.append("nothing was printed")
            if len(sys.argv) == 3:
                run("--window-size=1200,1600", f"--screenshot={pathlib.Path(sys.argv[2]).resolve()}", f"{origin}/page.html")
        finally:
            server.shutdown()
    if faults:
        sys.exit("\n".join(faults[:40]))
    print("the page is as it should be")


main()
