package monitoring

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/elector-dev/elector/internal/cli"
	"github.com/elector-dev/elector/internal/testenv"
)

// Where things are.
const (
	deployed  = "../../deploy/monitoring/"
	rulesFile = deployed + "rules.yaml"
	runbook   = "../../docs/runbook.md"
)

// rule is an alert.
type rule struct {
	Alert       string
	Expr        string
	Labels      map[string]string
	Annotations map[string]string
}

func rules(t *testing.T) (all []rule) {
	t.Helper()
	text, err := os.ReadFile(rulesFile)
	must(t, err)
	var file struct{ Groups []struct{ Rules []rule } }
	must(t, yaml.Unmarshal(text, &file))
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("no rules")
	}
	return all
}

// promtool runs it in the folder of the rules and returns what it says.
func promtool(t *testing.T, stdin []byte, args ...string) string {
	t.Helper()
	cmd := exec.Command(testenv.Command(t, "promtool"), args...)
	cmd.Dir, cmd.Stdin = deployed, bytes.NewReader(stdin)
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, said)
	}
	return string(said)
}

func TestAlertsFireWhenTheyShouldAndOnlyThen(t *testing.T) {
	t.Parallel()
	promtool(t, nil, "check", "rules", "rules.yaml")
	promtool(t, nil, "test", "rules", "rules_test.yaml")
}

func TestEveryAlertHasCasesInWhichItFiresAndInWhichItDoesNot(t *testing.T) {
	text, err := os.ReadFile(deployed + "rules_test.yaml")
	must(t, err)
	var file struct {
		Tests []struct {
			Cases []struct {
				Alert    string `yaml:"alertname"`
				Expected []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	must(t, yaml.Unmarshal(text, &file))
	fires, rests := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, c := range test.Cases {
			fires[c.Alert] = fires[c.Alert] || len(c.Expected) > 0
			rests[c.Alert] = rests[c.Alert] || len(c.Expected) == 0
		}
	}
	for _, r := range rules(t) {
		if !fires[r.Alert] || !rests[r.Alert] {
			t.Errorf("%s: fires in a case %v, does not in another %v", r.Alert, fires[r.Alert], rests[r.Alert])
		}
	}
}

func TestEveryAlertSaysWhatItIsAndWhereToReadOn(t *testing.T) {
	anchors := headlines(t)
	for _, r := range rules(t) {
		if s := r.Labels["severity"]; s != "page" && s != "ticket" {
			t.Errorf("%s has severity %q", r.Alert, s)
		}
		if !strings.Contains(r.Annotations["summary"], "{{ $labels.election }}") || !strings.Contains(r.Annotations["description"], "{{") {
			t.Errorf("%s does not say of what election, or with what values: %q, %q", r.Alert, r.Annotations["summary"], r.Annotations["description"])
		}
		file, anchor, _ := strings.Cut(r.Annotations["runbook_url"], "#")
		if file != "https://github.com/elector-dev/elector/blob/main/docs/runbook.md" || !slices.Contains(anchors, anchor) {
			t.Errorf("%s leads to %q, which is no section of %s", r.Alert, r.Annotations["runbook_url"], runbook)
		}
		if anchor != strings.ToLower(r.Alert) {
			t.Errorf("%s leads to the section of another alert, %q", r.Alert, anchor)
		}
	}
}

func TestEverySectionOfTheRunbookIsOfAnAlert(t *testing.T) {
	all := rules(t)
	sections := headlines(t)
	for _, anchor := range sections {
		if !slices.ContainsFunc(all, func(r rule) bool { return strings.ToLower(r.Alert) == anchor }) {
			t.Errorf("section %q of the runbook is of no alert", anchor)
		}
	}
	slices.Sort(sections)
	if len(slices.Compact(sections)) != len(headlines(t)) {
		t.Error("two sections have one headline, so links lead to the first of them only")
	}
}

func TestRunbookNamesNoCommandThatElectorLacks(t *testing.T) {
	text, err := os.ReadFile(runbook)
	must(t, err)
	verbs := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)(?:`elector ([a-z]+)|^elector ([a-z]+) .*  #)").FindAllStringSubmatch(string(text), -1) {
		verbs[m[1]+m[2]] = true
	}
	if len(verbs) < 5 {
		t.Fatalf("the runbook has the commands %v only", verbs)
	}
	for verb := range verbs {
		var said strings.Builder
		if status := cli.Run(t.Context(), []string{verb, "-h"}, nil, strings.NewReader(""), &said, &said); status != 0 || !strings.Contains(said.String(), verb) {
			t.Errorf("elector %s -h: exit status %d, %s", verb, status, &said)
		}
	}
}

// headlines are the anchors of the runbook's sections, as GitHub makes them.
func headlines(t *testing.T) (anchors []string) {
	t.Helper()
	text, err := os.ReadFile(runbook)
	must(t, err)
	for _, h := range regexp.MustCompile(`(?m)^## (.+)$`).FindAllStringSubmatch(string(text), -1) {
		anchor := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(h[1]), "")
		anchors = append(anchors, strings.ReplaceAll(anchor, " ", "-"))
	}
	return anchors
}
