package report

import (
	"fmt"
	"math"
	"strings"
)

// The looks of pictures. The ground is painted, so that they read the same on light and dark pages.
const (
	width   = 760
	left    = 210 // of what is drawn
	right   = 660
	barHigh = 22
	step    = 34
)

var colours = map[string]string{ours: "#0b6e4f", naive: "#c46210", bare: "#5b6770", elect: "#3d5a98", "etcdctl lock": "#6c8ebf", lease: "#8b3a62"}

type canvas struct{ strings.Builder }

func newCanvas(title string, height int) *canvas {
	c := &canvas{}
	fmt.Fprintf(c, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui,sans-serif" font-size="14" role="img" aria-label="%s">`, width, height, title)
	fmt.Fprintf(c, `<rect width="%d" height="%d" rx="8" fill="#fbfbf8"/>`, width, height)
	c.text(20, 30, "start", "#1c1c1c", `font-size="17" font-weight="600"`, title)
	return c
}

func (c *canvas) text(x, y float64, anchor, colour, more, text string) {
	fmt.Fprintf(c, "\n<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" fill=\"%s\" %s>%s</text>", x, y, anchor, colour, more, text)
}

func (c *canvas) bar(x, y, w float64, colour string) {
	fmt.Fprintf(c, "\n<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" rx=\"2\" fill=\"%s\"/>", x, y, max(1, w), barHigh, colour)
}

func (c *canvas) line(x1, y1, x2, y2 float64, colour string, more string) {
	fmt.Fprintf(c, "\n<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" %s/>", x1, y1, x2, y2, colour, more)
}

func (c *canvas) done() string { return c.String() + "\n</svg>\n" }

// handoverPicture has a bar for each peer, on a log scale from 0.1 ms to 100 s.
func handoverPicture(f Found) string {
	sizes := waitings(f)
	if len(sizes) == 0 {
		return newCanvas("no handover was measured", 60).done()
	}
	type bar struct {
		label, colour string
		ms            float64
		note          string
	}
	first := "handover " + sizes[0]
	bars := []bar{
		{"floor: bare etcd calls", colours[bare], f.Median(first, bare), ""},
		{"naive", colours[naive], f.Median(first, naive), ""},
		{"etcdctl elect", colours[elect], f.Median(first, elect), ""},
		{"etcdctl lock", colours["etcdctl lock"], f.Median(first, "etcdctl lock"), ""},
	}
	for _, n := range sizes {
		bars = append(bars, bar{"elector, " + n + " waiting", colours[ours], f.Median("handover "+n, ours), ""})
	}
	bars = append(bars,
		bar{"elector, pollers, 500 ms", colours[ours], f.Median("pollers 500ms", ours), ""},
		bar{"elector, pollers, 2 s", colours[ours], f.Median("pollers 2s", ours), ""},
		bar{"consul lock", "#8b8b8b", 9.1, "from elsewhere"},
		bar{"client-go, 15/10/2 s", colours[lease], 1575, "from elsewhere"},
		bar{"old leader-elector", "#8b8b8b", 12460, "from elsewhere"})
	if ms := f.Median(first, lease); !math.IsNaN(ms) {
		peer := &bars[len(bars)-2]
		peer.ms, peer.note = ms, ""
	}
	height := 80 + step*len(bars) + 40
	c := newCanvas("Planned handover, median, on a log scale", height)
	x := func(ms float64) float64 { return left + (right-left)*(math.Log10(max(ms, 0.1))+1)/6 }
	for i, label := range []string{"0.1 ms", "1 ms", "10 ms", "100 ms", "1 s", "10 s", "100 s"} {
		at := x(math.Pow(10, float64(i-1)))
		c.line(at, 50, at, float64(height-40), "#dcdcd4", "")
		c.text(at, float64(height-20), "middle", "#666", `font-size="12"`, label)
	}
	for i, b := range bars {
		y := float64(56 + step*i)
		c.text(left-10, y+16, "end", "#1c1c1c", "", b.label)
		if math.IsNaN(b.ms) {
			continue
		}
		opacity := ""
		if b.note != "" {
			opacity = " (elsewhere)"
		}
		c.bar(left, y, x(b.ms)-left, b.colour)
		c.text(x(b.ms)+6, y+16, "start", "#1c1c1c", `font-size="12"`, span(b.ms)+opacity)
	}
	return c.done()
}

// span shows milliseconds for people.
func span(ms float64) string {
	if ms >= 1000 {
		return number(ms/1000) + " s"
	}
	return number(ms) + " ms"
}

// crashPicture has, for each TTL, the time from kill -9 to the next yes: every sample, and the TTL itself.
func crashPicture(f Found) string {
	const height, bottom, top = 420, 360.0, 60.0
	c := newCanvas("From kill -9 to the next yes, by TTL", height)
	var ttls []float64
	for _, ttl := range []float64{2, 3, 5, 10, 15} {
		if f[fmt.Sprintf("crash %gs", ttl)] != nil {
			ttls = append(ttls, ttl)
		}
	}
	if len(ttls) == 0 {
		return c.done()
	}
	most := ttls[len(ttls)-1] + 1
	y := func(s float64) float64 { return bottom - (bottom-top)*s/most }
	x := func(i int) float64 { return 140 + float64(i)*540/float64(len(ttls)) }
	for s := 0.0; s <= most; s += math.Ceil(most / 8) {
		c.line(60, y(s), 720, y(s), "#dcdcd4", "")
		c.text(52, y(s)+4, "end", "#666", `font-size="12"`, fmt.Sprintf("%g s", s))
	}
	for i, ttl := range ttls {
		c.text(x(i)+40, bottom+22, "middle", "#1c1c1c", "", fmt.Sprintf("TTL %g s", ttl))
		c.line(x(i)-10, y(ttl), x(i)+90, y(ttl), "#1c1c1c", `stroke-dasharray="4 3"`)
		c.line(x(i)-10, y(ttl+1), x(i)+90, y(ttl+1), "#b00020", `stroke-dasharray="2 3"`)
		for j, peer := range []string{naive, ours} {
			for n, ms := range f[fmt.Sprintf("crash %gs", ttl)][peer] {
				fmt.Fprintf(c, "\n<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\" fill-opacity=\"0.65\"/>", x(i)+float64(j*60)+float64(n%5*5), y(ms/1000), colours[peer])
			}
		}
	}
	c.text(60, height-10, "start", colours[naive], `font-size="12"`, "● naive")
	c.text(130, height-10, "start", colours[ours], `font-size="12"`, "● elector")
	c.text(210, height-10, "start", "#666", `font-size="12"`, "black dashes: the TTL; red: TTL + 1 s, which is promised from the last renewal on")
	return c.done()
}

// memoryPicture stacks what each step adds to the resident memory of an idle process, apart by kind.
func memoryPicture(f Found) string {
	peers := []struct{ label, key string }{
		{"one lease (floor)", bare}, {"and an HTTP server", "floor with a server"}, {"naive", naive},
		{"etcdctl elect", elect}, {"elector, follower", ours + " follower"}, {"elector, leader", ours},
	}
	if f["idle RSS MB"][lease] != nil {
		peers = append(peers, struct{ label, key string }{"client-go, leader", lease})
	}
	height := 80 + step*len(peers) + 50
	c := newCanvas("Memory of an idle process, by part", height)
	scale := func(mb float64) float64 { return (right - left) * mb / 30 }
	for mb := 0.0; mb <= 30; mb += 5 {
		c.line(left+scale(mb), 50, left+scale(mb), float64(height-50), "#dcdcd4", "")
		c.text(left+scale(mb), float64(height-34), "middle", "#666", `font-size="12"`, fmt.Sprintf("%g MB", mb))
	}
	for i, p := range peers {
		y := float64(56 + step*i)
		c.text(left-10, y+16, "end", "#1c1c1c", "", p.label)
		rss, heap := f.Median("idle RSS MB", p.key), f.Median("idle anonymous MB", p.key)
		if math.IsNaN(rss) {
			continue
		}
		c.bar(left, y, scale(heap), "#0b6e4f")
		c.bar(left+scale(heap), y, scale(rss-heap), "#9cc5a1")
		c.text(left+scale(rss)+6, y+16, "start", "#1c1c1c", `font-size="12"`, number(heap)+" + "+number(rss-heap)+" MB")
	}
	c.text(20, float64(height-12), "start", "#0b6e4f", `font-size="12"`, "■ heap, stacks and data, of this process alone")
	c.text(330, float64(height-12), "start", "#5f8f66", `font-size="12"`, "■ the program's own pages, which processes of one image share")
	return c.done()
}
