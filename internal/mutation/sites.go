package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strings"
)

// mutant is one small change.
type mutant struct {
	number int // in this build, from 1
	place  int // number of the first mutant of its place
	file   string
	line   int
	key    string // the same for as long as its function reads the same
}

// finder walks a package and collects its mutants.
type finder struct {
	*source
	file    string
	imports map[string]string // import path to the name it has in this file
	in      string            // the function, with the type that it is a method of
	results bool              // it has some
	stack   []ast.Node        // around the node that is looked at, outermost first

	mutants []mutant
	edits   []edit
	skipped map[string]int // places, by the rule that leaves them out
	keys    map[string]int
}

// find collects the mutants of a package, in the order of its text.
func (s *source) find() *finder {
	f := &finder{source: s, skipped: map[string]int{}, keys: map[string]int{}}
	for _, file := range s.files {
		f.file = s.fset.Position(file.FileStart).Filename
		f.imports = map[string]string{s.path: ""}
		for _, spec := range file.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			if spec.Name != nil {
				f.imports[path] = spec.Name.Name
			} else if p := s.imported(path); p != "" {
				f.imports[path] = p
			}
		}
		for _, d := range file.Decls {
			f.declaration(d)
		}
	}
	return f
}

// imported is the name of a package by its path, as its uses tell.
func (s *source) imported(path string) string {
	for _, obj := range s.info.Uses {
		if p, ok := obj.(*types.PkgName); ok && p.Imported().Path() == path {
			return p.Imported().Name()
		}
	}
	return ""
}

func (f *finder) declaration(d ast.Decl) {
	switch d := d.(type) {
	case *ast.GenDecl:
		f.in = "var"
		if d.Tok == token.VAR {
			f.walk(d)
		}
	case *ast.FuncDecl:
		if d.Body == nil {
			return
		}
		f.in, f.results = d.Name.Name, d.Type.Results != nil
		if d.Recv != nil {
			t := types.ExprString(d.Recv.List[0].Type)
			f.in = strings.TrimPrefix(t, "*") + "." + f.in
		}
		if d.Recv != nil && (d.Name.Name == "String" || d.Name.Name == "Error" || d.Name.Name == "LogValue") {
			f.skip("text for people", d.Body)
			return
		}
		f.walk(d.Body)
	}
}

func (f *finder) walk(root ast.Node) {
	ast.Inspect(root, func(n ast.Node) bool {
		if n == nil {
			f.stack = f.stack[:len(f.stack)-1]
			return false
		}
		if rule := f.leftOut(n); rule != "" {
			f.skip(rule, n)
			return false
		}
		f.look(n)
		f.stack = append(f.stack, n)
		return true
	})
}

// leftOut is the rule by which a node and all within it get no mutants.
func (f *finder) leftOut(n ast.Node) string {
	switch n := n.(type) {
	case *ast.CallExpr:
		switch name := f.callee(n); {
		case strings.HasPrefix(name, "(*log/slog.Logger)."), strings.HasPrefix(name, "log/slog."):
			return "logging"
		case name == "errors.New", name == "fmt.Errorf":
			return "text of errors"
		case name == "panic":
			return "panics"
		}
	case *ast.ExprStmt:
		return f.leftOut(n.X)
	case *ast.GenDecl:
		if n.Tok != token.VAR {
			return "declarations"
		}
	case *ast.ArrayType, *ast.StructType, *ast.InterfaceType, *ast.FuncType, *ast.MapType:
		return "declarations"
	}
	return ""
}

// skip counts the places that a rule leaves out: statements and comparisons.
func (f *finder) skip(rule string, n ast.Node) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.ExprStmt, *ast.AssignStmt, *ast.ReturnStmt, *ast.BinaryExpr, *ast.CallExpr:
			f.skipped[rule]++
		}
		return true
	})
}

// callee is the full name of what a call calls, if it has one.
func (f *finder) callee(call *ast.CallExpr) string {
	var id *ast.Ident
	switch fun := ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		id = fun
	case *ast.SelectorExpr:
		id = fun.Sel
	default:
		return ""
	}
	switch obj := f.info.Uses[id].(type) {
	case *types.Func:
		return obj.FullName()
	case *types.Builtin:
		return obj.Name()
	}
	return ""
}

// look adds the mutants of one node.
func (f *finder) look(n ast.Node) {
	if s, ok := n.(ast.Stmt); ok {
		f.statement(s)
	}
	e, ok := n.(ast.Expr)
	if !ok {
		return
	}
	tv, known := f.info.Types[e]
	if !known || tv.IsType() || tv.IsVoid() || tv.IsNil() || f.constantWanted(e) {
		return
	}
	if tv.Value != nil {
		f.constant(e, tv)
		return
	}
	switch e := e.(type) {
	case *ast.BinaryExpr:
		f.binary(e, tv.Type)
	case *ast.UnaryExpr:
		if e.Op == token.SUB {
			f.alternatives(e, tv.Type, alternative{"without its sign", f.of(e.X)})
		}
	case *ast.CallExpr:
		f.call(e, tv.Type)
	}
	if isBool(tv.Type) {
		f.truth(e)
	}
	f.value(e, tv.Type)
}

func (f *finder) parent(up int) ast.Node {
	if i := len(f.stack) - up; i >= 0 {
		return f.stack[i]
	}
	return nil
}

// constantWanted reports whether an expression stands where the language wants a constant, or none can be told apart.
func (f *finder) constantWanted(e ast.Expr) bool {
	switch p := f.parent(1).(type) {
	case *ast.CaseClause:
		sw, ok := f.parent(3).(*ast.SwitchStmt)
		return !ok || sw.Tag != nil
	case *ast.KeyValueExpr:
		return p.Key == e
	case *ast.SelectorExpr:
		return p.Sel == e
	case *ast.Field, *ast.ArrayType, *ast.BasicLit:
		return true
	}
	return false
}

// alternative is another text for an expression.
type alternative struct{ kind, text string }

// alternatives makes an expression one of several. A nil type is bool.
func (f *finder) alternatives(e ast.Expr, t types.Type, all ...alternative) {
	name := "bool"
	if t != nil {
		var ok bool
		if name, ok = f.typeName(t); !ok {
			f.skipped["types that the file cannot name"]++
			return
		}
	}
	text := string(f.text[f.file][f.offset(e.Pos()):f.offset(e.End())])
	if all[0].text == text {
		return
	}
	var b strings.Builder
	first := len(f.mutants) + 1
	fmt.Fprintf(&b, "func() %s { switch mutant(%d, %d) { ", name, first, len(all))
	for i, a := range all {
		f.add(e, a.kind)
		f.mutants[len(f.mutants)-1].place = first
		fmt.Fprintf(&b, "case %d: return %s; ", i+1, a.text)
	}
	b.WriteString("}; return ")
	f.wrap(e, b.String(), " }()")
}

// typeName is a type as the file that is looked at writes it.
func (f *finder) typeName(t types.Type) (string, bool) {
	if b, ok := t.(*types.Basic); ok && b.Info()&types.IsUntyped != 0 {
		t = types.Default(t)
	}
	ok := true
	name := types.TypeString(t, func(p *types.Package) string {
		n, imported := f.imports[p.Path()]
		ok = ok && imported
		return n
	})
	return name, ok
}

func (f *finder) zero(e ast.Expr, kind string) {
	n := f.add(e, kind)
	f.wrap(e, fmt.Sprintf("mutantZero(%d, ", n), ")")
}

func (f *finder) zeroOf(e ast.Expr, t types.Type, kind string) {
	name, ok := f.typeName(t)
	if !ok {
		f.skipped["types that the file cannot name"]++
		return
	}
	n := f.add(e, kind)
	f.wrap(e, fmt.Sprintf("mutantZero[%s](%d, ", name, n), ")")
}

func (f *finder) offset(p token.Pos) int { return f.fset.Position(p).Offset }

func (f *finder) of(n ast.Node) string {
	return string(f.text[f.file][f.offset(n.Pos()):f.offset(n.End())])
}

func (f *finder) wrap(n ast.Node, before, after string) {
	f.edits = append(f.edits, edit{f.file, f.offset(n.Pos()), f.offset(n.End()), before, after})
}

func (f *finder) add(n ast.Node, kind string) int { return f.addText(n, kind, f.of(n)) }

// longest is how much of a place's text its key has.
const longest = 90

func (f *finder) addText(n ast.Node, kind, text string) int {
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > longest {
		text = string(r[:longest]) + "…"
	}
	key := fmt.Sprintf("%s %s: %s → %s", f.file, f.in, text, kind)
	f.keys[key]++
	if again := f.keys[key]; again > 1 {
		key += fmt.Sprintf(" (%d)", again)
	}
	number := len(f.mutants) + 1
	f.mutants = append(f.mutants, mutant{number, number, f.file, f.fset.Position(n.Pos()).Line, key})
	return number
}

// isTime reports whether a number is one of nanoseconds.
func isTime(t types.Type) bool {
	return t.String() == "time.Duration" || strings.HasSuffix(t.String(), "/internal/election.Instant")
}

func isBool(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsBoolean != 0
}
