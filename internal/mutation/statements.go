package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
)

// statement: it is left out; the other way to leave or go on with a loop; a case that does nothing; a channel that
// never has anything.
func (f *finder) statement(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.BranchStmt:
		f.branch(s)
		return
	case *ast.CaseClause:
		f.clause(s)
		return
	case *ast.CommClause:
		f.channel(s)
		return
	}
	if !f.inList(s) {
		return
	}
	switch s := s.(type) {
	case *ast.AssignStmt:
		if s.Tok == token.DEFINE || len(s.Lhs) == 1 && f.of(s.Lhs[0]) == "_" {
			return
		}
	case *ast.ExprStmt, *ast.IncDecStmt, *ast.SendStmt, *ast.DeferStmt, *ast.GoStmt:
	default:
		return
	}
	n := f.add(s, "left out")
	f.wrap(s, fmt.Sprintf("if mutant(%d, 1) == 0 { ", n), " }")
}

// inList reports whether the statement stands in a block, and not at the head of another.
func (f *finder) inList(s ast.Stmt) bool {
	switch p := f.parent(1).(type) {
	case *ast.BlockStmt, *ast.CaseClause:
		return true
	case *ast.CommClause:
		return p.Comm != s
	}
	return false
}

func (f *finder) branch(s *ast.BranchStmt) {
	loop := f.loop()
	if loop == nil || s.Tok != token.BREAK && s.Tok != token.CONTINUE {
		return
	}
	label := ""
	if s.Label != nil {
		label = " " + s.Label.Name
	}
	other := token.BREAK
	if s.Tok == token.BREAK {
		other = token.CONTINUE
	} else if l, ok := loop.(*ast.ForStmt); ok && l.Cond == nil {
		return // the function may end with that loop
	}
	n := f.add(s, other.String())
	f.wrap(s, fmt.Sprintf("if mutant(%d, 1) == 1 { %s%s }; ", n, other, label), "")
}

// loop is the innermost loop around, within the function.
func (f *finder) loop() ast.Node {
	for _, n := range slices.Backward(f.stack) {
		switch n.(type) {
		case *ast.ForStmt, *ast.RangeStmt:
			return n
		case *ast.FuncLit:
			return nil
		}
	}
	return nil
}

// clause does nothing in a case of a switch that has a tag, or is over types.
func (f *finder) clause(c *ast.CaseClause) {
	sw := f.parent(2)
	if s, ok := sw.(*ast.SwitchStmt); ok && s.Tag == nil && c.List != nil || len(c.Body) == 0 || f.endsFunction(sw) {
		return
	}
	if b, ok := c.Body[0].(*ast.BranchStmt); ok && b.Tok == token.FALLTHROUGH {
		return
	}
	n := f.addText(c, "does nothing", string(f.text[f.file][f.offset(c.Pos()):f.offset(c.Colon)]))
	from := f.offset(c.Colon) + 1
	f.edits = append(f.edits, edit{f.file, from, from, fmt.Sprintf(" if mutant(%d, 1) == 1 { break }; ", n), ""})
}

// endsFunction reports whether a function with results ends with the switch, which must have no break then.
func (f *finder) endsFunction(sw ast.Node) bool {
	for i := len(f.stack) - 1; i > 0; i-- {
		if f.stack[i] != sw {
			continue
		}
		block, ok := f.stack[i-1].(*ast.BlockStmt)
		if !ok || block.List[len(block.List)-1] != sw {
			return !ok
		}
		if i == 1 {
			return f.results
		}
		lit, ok := f.stack[i-2].(*ast.FuncLit)
		return ok && lit.Type.Results != nil
	}
	return false
}

// channel makes a channel that a select looks at one that is never ready.
func (f *finder) channel(c *ast.CommClause) {
	var ch ast.Expr
	switch s := c.Comm.(type) {
	case *ast.SendStmt:
		ch = s.Chan
	case *ast.ExprStmt:
		ch = ast.Unparen(s.X).(*ast.UnaryExpr).X
	case *ast.AssignStmt:
		ch = ast.Unparen(s.Rhs[0]).(*ast.UnaryExpr).X
	default:
		return
	}
	n := f.addText(c, "never ready", string(f.text[f.file][f.offset(c.Pos()):f.offset(c.Colon)]))
	f.wrap(ch, fmt.Sprintf("mutantZero(%d, ", n), ")")
}
