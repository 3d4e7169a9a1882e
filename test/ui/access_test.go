package ui

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/elector-dev/elector/internal/client"
)

// lowContrast lists the texts whose contrast with what lies behind them is below 4.5 (3 for large ones), as WCAG 2
// measures it at level AA.
const lowContrast = `(() => {
	const parse = c => c.match(/[\d.]+/g).map(Number);
	const lum = c => { const [r, g, b] = c.slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
	const behind = n => { for (; n; n = n.parentElement) { const c = parse(getComputedStyle(n).backgroundColor); if (c.length < 4 || c[3] > 0) return c } return [255, 255, 255] };
	const found = [];
	let seen = 0;
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walk.nextNode()) {
		const n = walk.currentNode, e = n.parentElement, style = getComputedStyle(e);
		if (!n.textContent.trim() || !e.checkVisibility({visibilityProperty: true}) || e.closest('script, style, noscript')) continue;
		seen++;
		const a = lum(parse(style.color)), b = lum(behind(e)), ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		const large = parseFloat(style.fontSize) >= 24 || parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700;
		if (ratio < (large ? 3 : 4.5)) found.push(ratio.toFixed(2) + ' ' + n.textContent.trim());
	}
	if (seen < 20) found.push('only ' + seen + ' texts were seen');
	return found;
})()`

// structure lists what breaks a screen reader's or keyboard's way through a page.
const structure = `(() => {
	const found = [], ids = [...document.querySelectorAll('[id]')].map(e => e.id);
	for (const id of new Set(ids)) if (ids.filter(i => i === id).length > 1) found.push('two have the id ' + id);
	for (const [what, n] of [['main', 1], ['header', 1], ['h1', 1]]) if (document.querySelectorAll(what).length !== n) found.push('not one ' + what);
	if (!document.documentElement.lang) found.push('no language');
	if (!document.title) found.push('no title');
	for (const e of document.querySelectorAll('input, select')) if (!e.labels.length) found.push('no label at ' + e.id);
	for (const e of document.querySelectorAll('[aria-labelledby]')) if (!document.getElementById(e.getAttribute('aria-labelledby'))) found.push('nothing labels ' + e.id);
	for (const e of document.querySelectorAll('section')) if (!e.getAttribute('aria-labelledby') && !e.getAttribute('aria-label')) found.push('a section without a name');
	for (const e of document.querySelectorAll('table')) if (!e.querySelector('th[scope]')) found.push('a table without headings');
	for (const e of document.querySelectorAll('button')) if (e.checkVisibility() && e.getBoundingClientRect().height < 24) found.push('too small to touch: ' + e.id);
	if (document.documentElement.scrollWidth > document.documentElement.clientWidth) found.push('the page is wider than its window by ' + (document.documentElement.scrollWidth - document.documentElement.clientWidth));
	return found;
})()`

func TestThePageCanBeReadByAllInLightAndDarkAndOnAPhone(t *testing.T) {
	leader, follower := pair(t, "--check-file", wellFile, "--value", "http://10.0.0.7:8080")
	handOver(t, leader, follower)
	handOver(t, follower, leader)
	for _, e := range []*elector{leader, follower} {
		page := browse(t, e, "127.0.0.1")
		page.see("#checks", "passes")
		page.see("#value-text", "http://10.0.0.7:8080")
		page.see("#term-rows", "green")
		page.see("#queue-rows", "green")
		for _, scheme := range []string{"light", "dark"} {
			for size, width := range map[string]int64{"desktop": 1100, "phone": 390} {
				name := e.name + "-" + scheme + "-" + size
				page.do(inScheme(scheme), chromedp.EmulateViewport(width, 850))
				for _, check := range []string{lowContrast, structure} {
					if found := ask[[]string](page, check); len(found) > 0 {
						t.Errorf("%s:\n%s", name, strings.Join(found, "\n"))
					}
				}
				png := run(page, chromedp.FullScreenshot(100))
				must(t, os.WriteFile(picture(t, "ui-"+name+".png"), png, 0o600))
			}
		}
		roles := []string{"button", "region", "heading", "table", "main", "banner"}
		if e == leader {
			roles = append(roles, "progressbar")
		}
		page.named(roles...)
	}
}

// handOver passes the lead from one elector on to another.
func handOver(t *testing.T, from, to *elector) {
	t.Helper()
	from.await(t, "leads", leads)
	to.await(t, "stands behind it", func(s *client.Status) bool { return s.Registered && s.Leader.Identity == from.name })
	now, err := from.Status(t.Context(), client.Ask{})
	must(t, err)
	_, err = from.Transfer(t.Context(), to.name, now.Token, patience/2)
	must(t, err)
	to.await(t, "leads", leads)
}

// inScheme has the browser prefer light or dark.
func inScheme(scheme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}

// named demands that what has one of these roles is there, as the browser tells it to a screen reader, and has a name.
func (w *tab) named(roles ...string) {
	w.t.Helper()
	tree := run(w, func(ctx context.Context, t *chromedp.Target) (accessibility.GetFullAXTreeResult, error) {
		return cdp.Call(ctx, t, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	})
	landmark := []string{"main", "banner"} // of which there is one each
	seen := map[string]int{}
	for _, n := range tree.Nodes {
		role := spoken(n.Role)
		if n.Ignored || !slices.Contains(roles, role) {
			continue
		}
		seen[role]++
		if spoken(n.Name) == "" && !slices.Contains(landmark, role) {
			w.t.Errorf("a %s has no name", role)
		}
	}
	for _, role := range roles {
		if seen[role] == 0 {
			w.t.Errorf("no %s is told of", role)
		}
	}
}

func spoken(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	return strings.Trim(string(v.Value), `"`)
}
