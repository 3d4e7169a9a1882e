package history

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// format is the first line's word of what the file is. Its number goes up when old files cannot be read.
const format = "elector chaos run 1"

// record is one line of a file: exactly one field is set. The first line is the format, the last one says
// how many lines there were in between, so that a file that was cut off is told from a short run.
type record struct {
	Format   string    `json:"format,omitempty"`
	Run      *Run      `json:"run,omitempty"`
	Answer   *Answer   `json:"answer,omitempty"`
	Sample   *Sample   `json:"sample,omitempty"`
	Key      *KeyEvent `json:"key,omitempty"`
	Fault    *Fault    `json:"fault,omitempty"`
	Process  *Process  `json:"process,omitempty"`
	Access   *Access   `json:"access,omitempty"`
	Work     *Work     `json:"work,omitempty"`
	Page     *Page     `json:"page,omitempty"`
	Shown    *Answer   `json:"shown,omitempty"`
	Outcry   *Outcry   `json:"outcry,omitempty"`
	Stall    *Stall    `json:"stall,omitempty"`
	Leftover *Leftover `json:"leftover,omitempty"`
	End      *int      `json:"end,omitempty"`
}

// Save writes the history as gzip'd lines of JSON, one record a line. It does not close w.
func Save(w io.Writer, h *History) error {
	zip := gzip.NewWriter(w)
	buffer := bufio.NewWriter(zip)
	err := write(json.NewEncoder(buffer), h)
	if err == nil {
		err = buffer.Flush()
	}
	if err == nil {
		err = zip.Close()
	}
	if err != nil {
		return fmt.Errorf("save chaos run: %w", err)
	}
	return nil
}

func write(to *json.Encoder, h *History) error {
	if err := to.Encode(record{Format: format}); err != nil {
		return err
	}
	lines := 0
	put := func(r record) error { lines++; return to.Encode(r) }
	for _, part := range []func() error{
		func() error { return put(record{Run: &h.Run}) },
		func() error { return each(h.Processes, func(v *Process) error { return put(record{Process: v}) }) },
		func() error { return each(h.Faults, func(v *Fault) error { return put(record{Fault: v}) }) },
		func() error { return each(h.Stalls, func(v *Stall) error { return put(record{Stall: v}) }) },
		func() error { return each(h.Keys, func(v *KeyEvent) error { return put(record{Key: v}) }) },
		func() error { return each(h.Register, func(v *Access) error { return put(record{Access: v}) }) },
		func() error { return each(h.Work, func(v *Work) error { return put(record{Work: v}) }) },
		func() error { return each(h.Pages, func(v *Page) error { return put(record{Page: v}) }) },
		func() error { return each(h.Outcries, func(v *Outcry) error { return put(record{Outcry: v}) }) },
		func() error { return each(h.Shown, func(v *Answer) error { return put(record{Shown: v}) }) },
		func() error { return each(h.Samples, func(v *Sample) error { return put(record{Sample: v}) }) },
		func() error { return each(h.Answers, func(v *Answer) error { return put(record{Answer: v}) }) },
	} {
		if err := part(); err != nil {
			return err
		}
	}
	if h.Leftover != nil {
		if err := put(record{Leftover: h.Leftover}); err != nil {
			return err
		}
	}
	return to.Encode(record{End: &lines})
}

// each stops at the first error.
func each[T any](values []T, put func(*T) error) error {
	for i := range values {
		if err := put(&values[i]); err != nil {
			return err
		}
	}
	return nil
}

// Load reads what Save wrote. A file that is something else, is broken or was cut off gives an error that
// says so; nothing of it is returned then, since a part of a run cannot be judged.
func Load(r io.Reader) (*History, error) {
	zip, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("load chaos run: this is not a saved run: %w", err)
	}
	from := json.NewDecoder(bufio.NewReader(zip))
	var first record
	if err := from.Decode(&first); err != nil {
		return nil, broken(0, err)
	}
	if first.Format != format {
		return nil, fmt.Errorf("load chaos run: this is not a saved run of this version: it begins with %q, not %q", first.Format, format)
	}
	h := &History{}
	for lines := 0; ; lines++ {
		var line record
		if err := from.Decode(&line); err != nil {
			return nil, broken(lines, err)
		}
		if line.End == nil {
			h.take(line)
			continue
		}
		if *line.End != lines {
			return nil, fmt.Errorf("load chaos run: the file says that it has %d records, and has %d", *line.End, lines)
		}
		// What follows the last line is gzip's checksum, which is verified by reading to the end.
		if _, err := io.Copy(io.Discard, zip); err != nil {
			return nil, broken(lines, err)
		}
		return h, nil
	}
}

func (h *History) take(r record) {
	switch {
	case r.Run != nil:
		h.Run = *r.Run
	case r.Answer != nil:
		h.Answers = append(h.Answers, *r.Answer)
	case r.Sample != nil:
		h.Samples = append(h.Samples, *r.Sample)
	case r.Key != nil:
		h.Keys = append(h.Keys, *r.Key)
	case r.Fault != nil:
		h.Faults = append(h.Faults, *r.Fault)
	case r.Process != nil:
		h.Processes = append(h.Processes, *r.Process)
	case r.Access != nil:
		h.Register = append(h.Register, *r.Access)
	case r.Work != nil:
		h.Work = append(h.Work, *r.Work)
	case r.Page != nil:
		h.Pages = append(h.Pages, *r.Page)
	case r.Shown != nil:
		h.Shown = append(h.Shown, *r.Shown)
	case r.Outcry != nil:
		h.Outcries = append(h.Outcries, *r.Outcry)
	case r.Stall != nil:
		h.Stalls = append(h.Stalls, *r.Stall)
	case r.Leftover != nil:
		h.Leftover = r.Leftover
	}
}

func broken(lines int, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("load chaos run: the file was cut off after %d records", lines)
	}
	return fmt.Errorf("load chaos run: the file is broken after %d records: %w", lines, err)
}

// SaveFile saves to a file, which appears under its name only when it is whole.
func SaveFile(path string, h *History) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("save chaos run: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := errors.Join(Save(f, h), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// LoadFile loads from a file; its errors name it.
func LoadFile(path string) (*History, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load chaos run: %w", err)
	}
	defer func() { _ = f.Close() }()
	h, err := Load(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return h, nil
}
