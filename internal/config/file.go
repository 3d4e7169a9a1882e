package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readFile reads the settings in a YAML file: one mapping of names to texts, or to lists of texts
// where a setting takes several values. Values are taken as they are written, so that a name such as
// 007 or yes stays what it is. It returns what it could read and a sentence for each mistake.
func readFile(path string) (map[string]given, []string) {
	content, err := os.ReadFile(path)
	if err != nil {
		var reason *os.PathError
		if errors.As(err, &reason) {
			err = reason.Err
		}
		return nil, []string{fmt.Sprintf("--config %q cannot be read (%v): name a readable YAML file", path, err)}
	}
	var doc, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil // nothing in it
	case err != nil:
		return nil, []string{fmt.Sprintf("--config %q is not YAML (%s): write lines of the form name: value", path, strings.TrimPrefix(err.Error(), "yaml: "))}
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, []string{fmt.Sprintf("--config %q holds more than one document: remove the second \"---\" and what follows", path)}
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, []string{fmt.Sprintf("--config %q does not hold settings: write lines of the form name: value", path)}
	}
	f := file{path: path, given: make(map[string]given)}
	for i := 0; i+1 < len(root.Content); i += 2 {
		f.entry(root.Content[i], root.Content[i+1])
	}
	return f.given, f.mistakes
}

// file is one reading of a file.
type file struct {
	path     string
	given    map[string]given
	mistakes []string
}

func (f *file) wrong(at *yaml.Node, format string, args ...any) {
	f.mistakes = append(f.mistakes, fmt.Sprintf("%s line %d: ", f.path, at.Line)+fmt.Sprintf(format, args...))
}

// entry takes in one line of the mapping.
func (f *file) entry(key, value *yaml.Node) {
	name := key.Value
	s, known := settingNamed(name)
	_, twice := f.given[name]
	if value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	switch {
	case !known:
		remedy := "elector -h lists all settings"
		if near := nearest(name, names(true)); near != "" {
			remedy = fmt.Sprintf("did you mean %q?", near)
		}
		f.wrong(key, "%q is not a setting: %s", name, remedy)
	case s.notInFile:
		f.wrong(key, "%q cannot stand in the file: set --%s or %s", name, name, s.env())
	case twice:
		f.wrong(key, "%q stands here for the second time: remove one of the two", name)
	case value.Kind == yaml.ScalarNode && value.Tag == "!!null":
		f.wrong(key, "%q has no value: write %s: \"\" for an empty one, or remove the line", name, name)
	case value.Kind == yaml.ScalarNode:
		f.put(key, value.Value)
	case value.Kind == yaml.SequenceNode && s.many:
		f.sequence(key, value)
	case s.many:
		f.wrong(key, "%q is neither a text nor a list: write %s: [first, second]", name, name)
	default:
		f.wrong(key, "%q is not a text: write %s: value", name, name)
	}
}

func (f *file) put(key *yaml.Node, text string) {
	f.given[key.Value] = given{text, fmt.Sprintf("%s line %d", f.path, key.Line)}
}

func (f *file) sequence(key, value *yaml.Node) {
	var parts []string
	for _, n := range value.Content {
		if n.Kind != yaml.ScalarNode {
			f.wrong(n, "%q holds something that is not a text: write %s: [first, second]", key.Value, key.Value)
			return
		}
		parts = append(parts, n.Value)
	}
	s, _ := settingNamed(key.Value) // entry has found it
	f.put(key, strings.Join(parts, s.separator()))
}
