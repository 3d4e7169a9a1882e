// Command sbom writes on standard output what a binary is made of, as a document of SPDX 2.3 in JSON: the binary with its
// checksum, Go's standard library, and each module that is linked. It reads that from the binary itself, where Go's linker
// has put it, and the licences from docs/dependencies.md. The same binary gives the same document, byte for byte.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "sbom: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("sbom", flag.ContinueOnError)
	version := flags.String("version", "unknown", "of the binary")
	created := flags.Int64("created", 0, "when the binary's source was committed, in seconds of Unix time")
	table := flags.String("licences", "docs/dependencies.md", "table of the modules' licences")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return fmt.Errorf("name one binary, as in go run ./internal/sbom bin/elector")
	}
	licences, err := readTable(*table)
	if err != nil {
		return err
	}
	doc, err := describe(flags.Arg(0), *version, time.Unix(*created, 0).UTC(), licences)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(doc)
}
