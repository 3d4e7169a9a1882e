package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// source is a package's own files, its tests' not among them, with their types.
type source struct {
	name  string
	path  string // import path
	dir   string
	fset  *token.FileSet
	files []*ast.File
	text  map[string][]byte // by the name of the file in dir
	info  *types.Info
}

// load parses and checks the package that a pattern of the go command names. Its imports are read as the
// compiler left them.
func load(pattern string) (*source, error) {
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Name,Dir,GoFiles,Export,DepOnly", pattern)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	exports := map[string]string{}
	src, files := &source{}, []string(nil)
	for list := json.NewDecoder(out); ; {
		var p struct {
			ImportPath, Name, Dir, Export string
			GoFiles                       []string
			DepOnly                       bool
		}
		if err := list.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list %s: %w", pattern, err)
		}
		exports[p.ImportPath] = p.Export
		if !p.DepOnly {
			src.name, src.path, src.dir, files = p.Name, p.ImportPath, p.Dir, p.GoFiles
		}
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("go list %s: %w", pattern, err)
	}
	text := map[string][]byte{}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(src.dir, f))
		if err != nil {
			return nil, err
		}
		text[f] = b
	}
	return src, src.check(files, text, func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
}

// check parses and checks the files.
func (s *source) check(names []string, text map[string][]byte, open importer.Lookup) error {
	s.fset, s.text = token.NewFileSet(), text
	for _, name := range names {
		f, err := parser.ParseFile(s.fset, name, text[name], parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		s.files = append(s.files, f)
	}
	s.info = &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	check := types.Config{Importer: importer.ForCompiler(s.fset, "gc", open)}
	if _, err := check.Check(s.path, s.fset, s.files, s.info); err != nil {
		return fmt.Errorf("check %s: %w", s.path, err)
	}
	return nil
}
