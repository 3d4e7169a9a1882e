package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/elector-dev/elector/internal/client"
)

// plain makes one line without control characters of text that others chose: it comes from etcd.
func plain(s string) string { return strings.Map(shown, s) }

// lines is plain for text that may have lines, and tabs in them.
func lines(text []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return shown(r)
	}, text)
}

// shown is a character as a terminal may show it; bytes that are none come as unicode.ReplacementChar.
func shown(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}

// asJSON writes a value as a line of JSON, which a terminal may show: no character in it commands one.
func asJSON(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err == nil {
		_, err = fmt.Fprintln(w, escaped(string(b)))
	}
	if err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

// escaped replaces the characters of JSON that JSON leaves as they are and that terminals obey, or do not show. They
// stand in strings only.
func escaped(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, "\\u%04x", unit)
		}
	}
	return b.String()
}

// table writes rows of cells in columns.
func table(w io.Writer, rows ...[]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

// The colours of a state: green leads, yellow is on the way or in trouble, none stands by.
const (
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	reset  = "\x1b[0m"
)

func coloured(state string, on bool) string {
	switch {
	case !on || state == "follower":
		return state
	case state == "leader":
		return green + state + reset
	}
	return yellow + state + reset
}

// showStatus writes a state for people.
func showStatus(w io.Writer, s *client.Status, colours bool) error {
	leader := "not known"
	if s.Leader.Identity != "" || s.Leader.Token != 0 {
		leader = fmt.Sprintf("%s, token %d, since %s", plain(s.Leader.Identity), s.Leader.Token, moment(s.Leader.Since))
	}
	rows := [][]string{
		{"election", plain(s.Election)},
		{"identity", plain(s.Identity)},
		{"state", coloured(plain(s.State), colours) + ", since " + moment(&s.Since) + because(s.Cause)},
		{"leader", leader},
	}
	if s.Leading {
		rows = append(rows, []string{"certain", fmt.Sprintf("for %d ms, token %d", s.ExpiresInMs, s.Token)})
	}
	lease := "none"
	if s.Lease.ID != "" {
		lease = fmt.Sprintf("%s, TTL %v, renewed %v ago", plain(s.Lease.ID), millis(s.Lease.TTLMs), millis(s.Lease.SinceRenewalMs))
	}
	value := "none"
	if s.ValueRevision != 0 {
		value = "revision " + strconv.FormatInt(s.ValueRevision, 10)
	}
	rows = append(rows, []string{"lease", lease}, []string{"etcd", contact(s)}, []string{"value", value})
	if s.Refusal != "" {
		rows = append(rows, []string{"refusal", plain(s.Refusal)})
	}
	return table(w, rows...)
}

// line is a state in one line, for watch.
func line(s *client.Status, colours bool) string {
	text := fmt.Sprintf("%s  %s%s", time.Now().Format(time.TimeOnly), coloured(plain(s.State), colours), because(s.Cause))
	switch {
	case s.Leading:
		text += fmt.Sprintf(", token %d, certain for %d ms", s.Token, s.ExpiresInMs)
	case s.Leader.Token != 0:
		text += fmt.Sprintf(", %s leads with token %d", plain(s.Leader.Identity), s.Leader.Token)
	default:
		text += ", the leader is not known"
	}
	return text
}

func because(cause string) string {
	if cause == "" {
		return ""
	}
	return " (" + plain(cause) + ")"
}

func contact(s *client.Status) string {
	switch {
	case s.Connected && s.Registered:
		return "in contact, registered"
	case s.Connected:
		return "in contact, not registered"
	}
	return "no contact"
}

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// moment is a time for people; nil is none.
func moment(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func showQueue(w io.Writer, q *client.Queue) error {
	rows := [][]string{{"POSITION", "IDENTITY", "TOKEN", "SINCE", "VERSION", "NOTE"}}
	for _, c := range q.Candidates {
		var notes []string
		if c.Self {
			notes = append(notes, "this elector")
		}
		if c.Duplicate {
			notes = append(notes, "another process has this identity")
		}
		rows = append(rows, []string{
			strconv.Itoa(c.Position), plain(c.Identity), strconv.FormatInt(c.Token, 10), moment(c.Since), plain(c.Version), strings.Join(notes, ", "),
		})
	}
	if err := table(w, rows...); err != nil {
		return err
	}
	if more := q.Total - len(q.Candidates); more > 0 {
		fmt.Fprintf(w, "and %d more\n", more)
	}
	return nil
}

func showHistory(w io.Writer, h *client.History) error {
	rows := [][]string{{"TOKEN", "IDENTITY", "FROM", "TO", "CAUSE"}}
	for _, t := range h.Terms {
		rows = append(rows, []string{strconv.FormatInt(t.Token, 10), plain(t.Identity), moment(&t.From), moment(t.To), plain(t.Cause)})
	}
	return table(w, rows...)
}
