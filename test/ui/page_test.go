package ui

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/elector-dev/elector/internal/client"
)

func TestLeaderChangesAppearAndTheirDelayIsTold(t *testing.T) {
	leader, follower := pair(t)
	page := browse(t, follower, "127.0.0.1")
	page.see("#leader-name", "red")
	page.see("#answer", "Follows")

	// The page's own stream and this one tell of the same state; the page stamps when it shows it.
	ask[chromedp.Void](page, `new MutationObserver(() => { window.shownAt = Date.now() }).observe(document.getElementById('answer'), {childList: true, characterData: true, subtree: true})`)
	now, err := leader.Status(t.Context(), client.Ask{})
	must(t, err)
	_, err = leader.Resign(t.Context(), now.Token, 0)
	must(t, err)
	var led time.Time
	follower.await(t, "leads", func(s *client.Status) bool { led = s.Since; return s.Leading })
	page.see("#answer", "Leads")
	shown := ask[int64](page, "window.shownAt")
	t.Logf("shown %s after green had become the leader", time.UnixMilli(shown).Sub(led).Round(time.Millisecond))
	page.see("#leader-name", "green")
	page.see("#queue-rows", "green (this one)")
	page.see("#term-rows", "red")
	page.see("#news", "green leads.")
}

func TestTheBarShrinksUntilTheAnswerExpiresAndGrowsWithTheNextOne(t *testing.T) {
	leader, _ := pair(t)
	page := browse(t, leader, "127.0.0.1")
	page.see("#answer", "Leads")
	ask[bool](page, `new Promise(done => {
		let last = NaN, shrunk = 0, grown = 0;
		const look = () => {
			const now = new DOMMatrix(getComputedStyle(document.getElementById('left')).transform).a;
			if (now < last) shrunk++;
			if (now > last) grown++;
			last = now;
			if (shrunk > 10 && grown > 1) done(true); else requestAnimationFrame(look);
		};
		look();
	})`)

	// When the elector freezes no answer comes any more, and the page must not go on saying yes.
	must(t, leader.process.Pause())
	page.see("#answer", "its yes has ended")
	page.until("new DOMMatrix(getComputedStyle(document.getElementById('left')).transform).a === 0")
	must(t, leader.process.Resume())
	page.until("!document.getElementById('answer').textContent.includes('its yes has ended')")
}

func TestAnElectorThatIsGoneIsShownAsGone(t *testing.T) {
	leader, _ := pair(t)
	page := browse(t, leader, "127.0.0.1")
	page.see("#answer", "Leads")
	page.expect("Failed to load resource", "ERR_")
	must(t, leader.process.Kill())
	page.see("#link", "no contact with this elector")
	page.see("#answer", "its yes has ended")
}

func TestResignIsConfirmedByKeyboardAndWorks(t *testing.T) {
	leader, follower := pair(t)
	page := browse(t, leader, "127.0.0.1")
	page.until("!document.getElementById('resign').disabled")
	page.press("#resign", kb.Enter)
	page.until("document.getElementById('ask').open")
	page.see("#ask-text", "red gives the lead up")
	page.press("#ask-no", kb.Enter)
	page.until("!document.getElementById('ask').open")
	if s, err := leader.Status(t.Context(), client.Ask{}); err != nil || !s.Leading {
		t.Fatalf("the lead went without a confirmation: %+v %v", s, err)
	}

	page.press("#resign", kb.Enter)
	page.press("#ask-yes", kb.Enter)
	follower.await(t, "leads", leads)
	page.see("#acted", "Resign: done.")
	page.see("#leader-name", "green")
	page.until("document.getElementById('resign').disabled && document.getElementById('transfer').disabled")
	page.see("#acts-why", "Only the leader can resign or transfer.")
}

func TestTransferGoesToTheChosenAndDrainSaysItsReason(t *testing.T) {
	leader, follower := pair(t)
	page := browse(t, leader, "127.0.0.1")
	page.expect("/candidates") // which etcd may have to wait for, between two sessions
	page.until("!document.getElementById('transfer').disabled")
	page.press("#transfer", kb.Enter)
	page.until("document.getElementById('ask-choice').value === 'green'")
	page.press("#ask-yes", kb.Enter)
	follower.await(t, "leads", leads)
	page.see("#leader-name", "green")

	page.until("!document.getElementById('drain').disabled")
	page.press("#drain", kb.Enter)
	page.do(chromedp.SendKeys(chromedp.CSS("#ask-reason-text"), "kernel <b>update</b>"+kb.Enter))
	page.see("#answer", "Does not campaign")
	page.see("#why", "kernel <b>update</b>")
	page.until("!document.getElementById('undrain').disabled")
	page.press("#undrain", kb.Enter)
	page.press("#ask-yes", kb.Enter)
	page.see("#answer", "Follows")
}

func TestNothingIsOfferedUnderAForeignName(t *testing.T) {
	leader, _ := pair(t)
	page := browse(t, leader, "worker.example")
	page.see("#answer", "Leads")
	page.see("#acts-why", "Nothing can be changed from here: writes are not taken under this Host")
	for _, id := range []string{"resign", "transfer", "drain", "undrain"} {
		if ask[bool](page, "!document.getElementById('"+id+"').disabled") {
			t.Errorf("%s is offered", id)
		}
	}
}

func TestAWrongTokenIsRefusedAndTheRightOneTaken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(file, []byte("open-sesame"), 0o600))
	leader, follower := pair(t, "--http-token-file", file)
	page := browse(t, leader, "127.0.0.1")
	page.expect("401 (Unauthorized)")
	page.until("!document.getElementById('resign').disabled")
	page.press("#resign", kb.Enter)
	page.do(chromedp.SendKeys(chromedp.CSS("#ask-bearer"), "wrong"+kb.Enter))
	page.see("#acted", "Refused: no bearer token, or a wrong one.")
	page.press("#resign", kb.Enter)
	page.do(chromedp.SetValue(chromedp.CSS("#ask-bearer"), "open-sesame"))
	page.press("#ask-yes", kb.Enter)
	follower.await(t, "leads", leads)
	page.see("#acted", "Resign: done.")
}

func TestHostileNamesAndValuesAreText(t *testing.T) {
	const hostile = `"><img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`
	etcd := startEtcd(t)
	leader := startElector(t, etcd, "red")
	leader.await(t, "leads", leads)
	other := startElector(t, etcd, `green<img src=x onerror=alert(1)>`)
	cli, err := etcd.NewClient(t.Context())
	must(t, err)
	defer cli.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err = cli.Put(ctx, "/elector/default/mail/ffff", hostile)
	must(t, err)
	now, err := leader.Status(ctx, client.Ask{})
	must(t, err)
	_, err = leader.PutValue(ctx, client.Value{Bytes: []byte(hostile), ContentType: "text/html", Token: now.Token})
	must(t, err)

	page := browse(t, other, "127.0.0.1")
	page.see("#queue-rows", hostile)
	page.see("#self", `green<img`)
	page.see("#value-text", hostile)
	page.see("#value-note", strconv.Itoa(len(hostile))+" bytes, text/html")
	if foreign := ask[int](page, "document.querySelectorAll('img, script:not(:last-of-type), iframe').length"); foreign != 0 {
		t.Errorf("%d elements were made of what others wrote", foreign)
	}
}
