package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	root  = "../.."
	table = root + "/docs/dependencies.md"
)

// product builds the binary for a processor as it is shipped, but for its version.
func product(t *testing.T, processor string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "elector")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-tags", "grpcnotrace", "-ldflags", "-s -w", "-o", file, "./cmd/elector")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+processor)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return file
}

// linked are the modules of a binary with their versions, as go version tells of them.
func linked(t *testing.T, file string) map[string]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "version", "-m", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) >= 3 && f[0] == "dep" {
			modules[f[1]] = f[2]
		}
	}
	return modules
}

// texts are what the licences say, without spaces, by which they are known.
var texts = map[string][]string{
	"Apache-2.0":         {"ApacheLicense", "Version2.0,January2004"},
	"MIT":                {"Permissionisherebygranted,freeofcharge", "THESOFTWAREISPROVIDED\"ASIS\""},
	"BSD-3-Clause":       {"Redistributionanduseinsourceandbinaryforms", "usedtoendorseorpromote"},
	"MIT AND Apache-2.0": {"MITandApache", "Permissionisherebygranted,freeofcharge", "ApacheLicense,Version2.0"},
}

func TestTableHasWhatIsLinkedAndNothingElse(t *testing.T) {
	rows, err := readTable(table)
	if err != nil {
		t.Fatal(err)
	}
	modules := linked(t, product(t, "amd64"))
	for module := range modules {
		if _, ok := rows[module]; !ok {
			t.Errorf("%s is linked: add its row to docs/dependencies.md, with licence and reason", module)
		}
	}
	for module, r := range rows {
		if modules[module] == "" {
			t.Errorf("%s is not linked: remove its row from docs/dependencies.md", module)
			continue
		}
		if len(strings.Fields(r.reason)) < 1 {
			t.Errorf("%s has no reason", module)
		}
		for _, want := range texts[r.licence] {
			if !strings.Contains(licenceOf(t, module), want) {
				t.Errorf("%s: its licence is not %s, which would say %q", module, r.licence, want)
			}
		}
		if texts[r.licence] == nil {
			t.Errorf("%s: no text is known of licence %q", module, r.licence)
		}
	}
}

// licenceOf is a module's licence without spaces.
func licenceOf(t *testing.T, module string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module)
	cmd.Dir = root
	dir, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "LICENSE*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no licence: %v", module, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(text)), "")
}

func TestDocumentHasTheModulesOfTheBinary(t *testing.T) {
	file := product(t, "arm64")
	args := []string{"--licences", table, "--version", "v1.2.3", "--created", "1700000000", file}
	var first, second bytes.Buffer
	for _, out := range []*bytes.Buffer{&first, &second} {
		if err := run(args, out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two documents of one binary differ")
	}
	var doc document
	decoder := json.NewDecoder(&first)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	want := linked(t, file)
	want["github.com/elector-dev/elector"] = "v1.2.3"
	for i, c := range doc.Packages {
		if c.Name == "std" {
			continue
		}
		if want[c.Name] != c.Version || c.Version == "" {
			t.Errorf("package %d is %s %s, want version %q", i, c.Name, c.Version, want[c.Name])
		}
		delete(want, c.Name)
	}
	if len(want) > 0 {
		t.Errorf("left out: %v", want)
	}
	valid(t, &doc)
}

// valid checks what SPDX 2.3 demands of a document.
func valid(t *testing.T, doc *document) {
	t.Helper()
	if doc.SPDXVersion != "SPDX-2.3" || doc.DataLicense != "CC0-1.0" || doc.ID != "SPDXRef-DOCUMENT" || doc.Name == "" || len(doc.Creation.Creators) == 0 {
		t.Errorf("document %+v", doc)
	}
	if created, err := time.Parse("2006-01-02T15:04:05Z", doc.Creation.Created); err != nil || created.Unix() != 1_700_000_000 {
		t.Errorf("created %q", doc.Creation.Created)
	}
	if !regexp.MustCompile(`^https://[^#\s]+$`).MatchString(doc.Namespace) {
		t.Errorf("namespace %q", doc.Namespace)
	}
	ids := []string{doc.ID}
	for _, c := range doc.Packages {
		if !regexp.MustCompile(`^SPDXRef-[A-Za-z0-9.-]+$`).MatchString(c.ID) || slices.Contains(ids, c.ID) {
			t.Errorf("identifier %q", c.ID)
		}
		ids = append(ids, c.ID)
		if c.Name == "" || c.Download == "" || c.LicenseConcluded == "" || c.LicenseDeclared == "" || c.Copyright == "" || c.FilesAnalyzed {
			t.Errorf("package %+v", c)
		}
	}
	if sum := doc.Packages[0].Checksums; len(sum) != 1 || sum[0].Algorithm != "SHA256" || !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(sum[0].Value) {
		t.Errorf("the binary's checksum: %+v", sum)
	}
	described := map[string]bool{}
	for _, r := range doc.Relationships {
		if !slices.Contains(ids, r.From) || !slices.Contains(ids, r.To) {
			t.Errorf("relationship %+v of what is not there", r)
		}
		described[r.To] = true
	}
	for _, id := range ids[1:] {
		if !described[id] {
			t.Errorf("%s stands in no relationship", id)
		}
	}
}

func TestModuleWithoutARowIsRefused(t *testing.T) {
	file := product(t, "arm64")
	rows, err := readTable(table)
	if err != nil {
		t.Fatal(err)
	}
	delete(rows, "golang.org/x/crypto")
	if _, err := describe(file, "v1", time.Time{}, rows); err == nil || !strings.Contains(err.Error(), "golang.org/x/crypto is linked") {
		t.Errorf("%v", err)
	}
}
