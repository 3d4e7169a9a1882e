package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// document is an SPDX document. Names are those of the specification, section by section.
type document struct {
	SPDXVersion   string         `json:"spdxVersion"`
	DataLicense   string         `json:"dataLicense"`
	ID            string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Namespace     string         `json:"documentNamespace"`
	Creation      creation       `json:"creationInfo"`
	Packages      []component    `json:"packages"`
	Relationships []relationship `json:"relationships"`
}

type creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

// component is a package in the words of SPDX.
type component struct {
	ID               string        `json:"SPDXID"`
	Name             string        `json:"name"`
	Version          string        `json:"versionInfo"`
	FileName         string        `json:"packageFileName,omitempty"`
	Purpose          string        `json:"primaryPackagePurpose"`
	Supplier         string        `json:"supplier"`
	Download         string        `json:"downloadLocation"`
	FilesAnalyzed    bool          `json:"filesAnalyzed"`
	Checksums        []checksum    `json:"checksums,omitempty"`
	LicenseConcluded string        `json:"licenseConcluded"`
	LicenseDeclared  string        `json:"licenseDeclared"`
	Copyright        string        `json:"copyrightText"`
	Comment          string        `json:"comment,omitempty"`
	References       []externalRef `json:"externalRefs"`
}

type checksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type externalRef struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type relationship struct {
	From string `json:"spdxElementId"`
	Type string `json:"relationshipType"`
	To   string `json:"relatedSpdxElement"`
}

const (
	documentID  = "SPDXRef-DOCUMENT"
	noAssertion = "NOASSERTION"
	ownLicence  = "Apache-2.0"
	goLicence   = "BSD-3-Clause"
)

// describe tells what a binary is made of. A module without a row in the table is an error.
func describe(file, version string, created time.Time, licences map[string]row) (*document, error) {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read what %s is made of: %w", file, err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(content))
	own := newComponent(info.Main.Path, version, ownLicence)
	own.FileName, own.Purpose = filepath.Base(file), "APPLICATION"
	own.Checksums = []checksum{{"SHA256", sum}}
	toolchain := newComponent("std", strings.TrimPrefix(info.GoVersion, "go"), goLicence)
	toolchain.Comment = "Go's standard library and runtime"
	doc := &document{
		SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", ID: documentID,
		Name:      "elector " + version,
		Namespace: "https://" + info.Main.Path + "/spdx/" + url.PathEscape(version) + "/" + sum,
		Creation:  creation{created.Format(time.RFC3339), []string{"Tool: " + info.Main.Path + "/internal/sbom"}},
		Packages:  []component{own, toolchain},
	}
	for _, module := range info.Deps {
		known, ok := licences[module.Path]
		if !ok {
			return nil, fmt.Errorf("%s is linked and not among the dependencies: add its row, with licence and reason", module.Path)
		}
		linked := module
		if module.Replace != nil {
			linked = module.Replace
		}
		c := newComponent(linked.Path, linked.Version, known.licence)
		c.Comment = "go.sum has " + linked.Sum
		doc.Packages = append(doc.Packages, c)
	}
	doc.Relationships = []relationship{{documentID, "DESCRIBES", own.ID}}
	for _, c := range doc.Packages[1:] {
		doc.Relationships = append(doc.Relationships, relationship{own.ID, "DEPENDS_ON", c.ID})
	}
	return doc, nil
}

// unfit is what an identifier of SPDX may not hold.
var unfit = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

func newComponent(path, version, licence string) component {
	return component{
		ID: "SPDXRef-Package-" + unfit.ReplaceAllString(path, "-"), Name: path, Version: version, Purpose: "LIBRARY",
		Supplier: noAssertion, Download: noAssertion, LicenseConcluded: licence, LicenseDeclared: licence, Copyright: noAssertion,
		References: []externalRef{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + path + "@" + url.PathEscape(version)}},
	}
}
