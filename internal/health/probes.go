package health

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/elector-dev/elector/internal/process"
)

// maxBody is how much is read of an answer that says no: its reason is in the first line.
const maxBody = 1024

// HTTP asks a URL with GET: an answer of 200 to 299 passes. Redirects are not followed, since what they lead to may be
// well when the worker is not. Its name has no password. It goes to the host that the URL names, past any proxy.
func HTTP(rawURL string) (Check, error) {
	u, err := url.Parse(rawURL)
	if at := (*url.Error)(nil); errors.As(err, &at) {
		return Check{}, fmt.Errorf("not a URL: %w", at.Err) // without the text, in which there may be a password
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Port() != "" && !isPort(u.Port()) {
		return Check{}, fmt.Errorf("%q is not a URL to ask: write http://host:port/path, or https", u.Redacted())
	}
	client := &http.Client{
		// Each look connects anew, as a client of the worker would have to.
		Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	probe := func(ctx context.Context) error { return get(ctx, client, u.String()) }
	return Check{Name: "http " + u.Redacted(), Probe: probe}, nil
}

func get(ctx context.Context, client *http.Client, target string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	req.Header.Set("User-Agent", "elector")
	resp, err := client.Do(req)
	if err != nil {
		if at := (*url.Error)(nil); errors.As(err, &at) {
			err = at.Err // the URL is the check's name
		}
		return errors.New("get: " + printable(steady(err)))
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 {
		return nil
	}
	said := strings.TrimSpace(fmt.Sprintf("answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
	if to := resp.Header.Get("Location"); to != "" && resp.StatusCode <= 399 {
		return fmt.Errorf("%s, which leads to %s: redirects are not followed, name the URL that answers",
			said, printable(to))
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody)) // as much as there is
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	return withText(said, line)
}

// ownAddress is this side of a connection in the text of a net.OpError, or of a net.DNSError that has one's text.
var ownAddress = regexp.MustCompile(`\S+->`)

// steady is an error's text without what is another each time: the port on this side, and the time of the day.
func steady(err error) string {
	if cert := (x509.CertificateInvalidError{}); errors.As(err, &cert) && cert.Reason == x509.Expired {
		return "the certificate has expired or is not yet valid"
	}
	return ownAddress.ReplaceAllString(err.Error(), "")
}

// TCP connects to host:port, and closes the connection.
func TCP(address string) (Check, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || !isPort(port) {
		return Check{}, fmt.Errorf("%q is not an address to connect to: write host:port, as in 127.0.0.1:5432", address)
	}
	return Check{Name: "tcp " + address, Probe: func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return errors.New(steady(err))
		}
		_ = conn.Close() // it has connected, which is all that was asked
		return nil
	}}, nil
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// Exec runs a command in a process group of its own, without input and with env, or this process's if that is nil: exit status 0
// passes. What is left of the group at the command's end, or at the look's, is killed.
func Exec(argv, env []string) (Check, error) {
	if len(argv) == 0 || argv[0] == "" {
		return Check{}, errors.New("a command to run is missing")
	}
	spec := process.Spec{Argv: slices.Clone(argv), Env: env}
	return Check{Name: "exec " + strings.Join(argv, " "), Probe: func(ctx context.Context) error {
		output, status, err := process.Run(ctx, spec)
		if err != nil {
			return fmt.Errorf("run: %w", err)
		}
		if status == 0 {
			return nil
		}
		return withText(fmt.Sprintf("exited with status %d", status), output[strings.LastIndexByte(output, '\n')+1:])
	}}, nil
}

// File passes while there is a regular file, or a link to one, that was modified less than maxAge ago; with a maxAge of
// 0, whenever. A time of modification more than maxAge ahead fails as well: a clock went back, and the file would seem
// fresh until it has caught up. On a file system that does not answer it does not end with ctx.
func File(path string, maxAge time.Duration) (Check, error) {
	switch {
	case path == "":
		return Check{}, errors.New("the path of a file is missing")
	case maxAge < 0:
		return Check{}, fmt.Errorf("the age %v of a file must not be negative", maxAge)
	}
	return Check{Name: "file " + path, Probe: func(context.Context) error {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			return fmt.Errorf("is not a regular file: %v", info.Mode())
		case maxAge == 0:
			return nil
		}
		// The time of it and not its age, which would be another reason at each look.
		at := info.ModTime().Format(time.RFC3339)
		switch age := time.Since(info.ModTime()); {
		case age >= maxAge:
			return fmt.Errorf("last modified at %s, which is more than %v ago", at, maxAge)
		case age < -maxAge:
			return fmt.Errorf("last modified at %s, which is more than %v ahead: a clock was wrong then, or is now",
				at, maxAge)
		}
		return nil
	}}, nil
}

// withText is an error with what the worker has said, if it has said anything.
func withText(what, said string) error {
	if said = printable(said); said == "" {
		return errors.New(what)
	}
	return errors.New(what + ": " + said)
}

// maxText is the longest text in bytes that others may put into a reason.
const maxText = 200

// printable is text that others chose, for a line of a log or of a terminal.
func printable(s string) string {
	s = strings.TrimSpace(strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return unicode.ReplacementChar
		}
		return r
	}, s)
	if len(s) <= maxText {
		return s
	}
	end := maxText
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
