package main

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"math"
	"slices"
	"strings"
)

// binary: a comparison's border, the other of a pair of operators.
func (f *finder) binary(e *ast.BinaryExpr, t types.Type) {
	other := map[token.Token]token.Token{
		token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
		token.LAND: token.LOR, token.LOR: token.LAND,
		token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL, token.REM: token.MUL,
		token.AND: token.OR, token.OR: token.AND, token.SHL: token.SHR, token.SHR: token.SHL,
	}
	op, ok := other[e.Op]
	if b, isBasic := t.Underlying().(*types.Basic); !ok || isBasic && b.Info()&types.IsString != 0 {
		return
	}
	from, to := f.offset(e.Pos()), f.offset(e.End())
	at := f.offset(e.OpPos)
	text := string(f.text[f.file][from:at]) + op.String() + string(f.text[f.file][at+len(e.Op.String()):to])
	f.alternatives(e, t, alternative{"with " + op.String(), text})
}

// call: max for min, and the border of an order of instants.
func (f *finder) call(e *ast.CallExpr, t types.Type) {
	if name := f.callee(e); name == "min" || name == "max" {
		other := map[string]string{"min": "max", "max": "min"}[name]
		f.alternatives(e, t, alternative{"with " + other, other + strings.TrimPrefix(f.of(e), name)})
	}
	sel, ok := e.Fun.(*ast.SelectorExpr)
	if ok && len(e.Args) == 1 && (sel.Sel.Name == "Before" || sel.Sel.Name == "After") && isBool(t) {
		f.alternatives(e, t, alternative{"or at it", "!(" + f.of(e.Args[0]) + ")." + sel.Sel.Name + "(" + f.of(sel.X) + ")"})
	}
}

// truth: a condition that always holds, or never; elsewhere, the opposite.
func (f *finder) truth(e ast.Expr) {
	always, never := alternative{"true", "true"}, alternative{"false", "false"}
	child, up := ast.Node(e), 1
	for ; ; up++ { // parentheses, and a "not" around it
		if _, ok := f.parent(up).(*ast.ParenExpr); !ok {
			break
		}
		child = f.parent(up)
	}
	switch p := f.parent(up).(type) {
	case *ast.IfStmt:
		f.alternatives(e, nil, always, never)
		return
	case *ast.CaseClause:
		f.alternatives(e, nil, always, never)
		return
	case *ast.ForStmt:
		f.alternatives(e, nil, never) // one that goes on for ever only costs time
		return
	case *ast.BinaryExpr:
		switch p.Op {
		case token.LAND:
			f.alternatives(e, nil, always)
			return
		case token.LOR:
			f.alternatives(e, nil, never)
			return
		}
	case *ast.ParenExpr, *ast.UnaryExpr:
		return
	case *ast.AssignStmt:
		if slices.Contains(p.Lhs, child.(ast.Expr)) {
			return
		}
	}
	_, isParen := e.(*ast.ParenExpr)
	_, isReturned := f.parent(up).(*ast.ReturnStmt)
	_, isField := f.parent(up).(*ast.KeyValueExpr)
	switch x := e.(type) {
	case *ast.BinaryExpr:
		if x.Op != token.LAND && x.Op != token.LOR {
			f.alternatives(e, nil, alternative{"negated", "!(" + f.of(e) + ")"})
		}
	default:
		if _, isNot := e.(*ast.UnaryExpr); !isParen && (isNot || isReturned || isField) {
			f.alternatives(e, nil, alternative{"negated", "!(" + f.of(e) + ")"})
		}
	}
}

// value: what is returned, or put into a field of a literal, is lost; an error that is returned is none.
func (f *finder) value(e ast.Expr, t types.Type) {
	if _, several := t.(*types.Tuple); several || isBool(t) {
		return
	}
	if lit, ok := e.(*ast.CompositeLit); ok && len(lit.Elts) == 0 {
		return
	}
	switch p := f.parent(1).(type) {
	case *ast.ReturnStmt:
		if types.Identical(t, types.Universe.Lookup("error").Type()) {
			f.zero(e, "no error")
			return
		}
		f.zero(e, "zero")
	case *ast.KeyValueExpr:
		lit, ok := f.parent(2).(*ast.CompositeLit)
		if _, isFunc := e.(*ast.FuncLit); ok && p.Value == e && !isFunc && f.isStruct(lit) {
			f.zero(e, "zero")
		}
	}
}

func (f *finder) isStruct(lit *ast.CompositeLit) bool {
	_, ok := f.info.Types[lit].Type.Underlying().(*types.Struct)
	return ok
}

// constant: the next number, twice or half a duration, the other truth.
func (f *finder) constant(e ast.Expr, tv types.TypeAndValue) {
	basic, ok := tv.Type.Underlying().(*types.Basic)
	if !ok {
		return
	}
	if f.withinConstant() {
		return
	}
	if call, ok := f.parent(1).(*ast.CallExpr); ok && f.callee(call) == "make" {
		f.skipped["sizes that make is given"]++
		return
	}
	text := f.of(e)
	_, isLit := e.(*ast.BasicLit)
	switch {
	case basic.Info()&types.IsBoolean != 0:
		f.alternatives(e, tv.Type, alternative{"negated", "!" + text})
	case tv.Type.String() == "time.Duration" && tv.Value.ExactString() != "0" && !isLit:
		both := []alternative{{"halved", "(" + text + ")/2"}, {"doubled", "(" + text + ")*2"}}
		if d, _ := constant.Int64Val(tv.Value); d > math.MaxInt64/2 || d < math.MinInt64/2 {
			both = both[:1]
		}
		f.alternatives(e, tv.Type, both...)
	case isTime(tv.Type) && isLit:
		f.skipped["a nanosecond more or less"]++
	case basic.Info()&types.IsInteger != 0 && isLit:
		more, less := alternative{"+1", text + "+1"}, alternative{"-1", text + "-1"}
		all := []alternative{more, less}
		if basic.Info()&types.IsUnsigned != 0 && tv.Value.ExactString() == "0" {
			all = all[:1]
		}
		if p, ok := f.parent(1).(*ast.BinaryExpr); ok { // the border's mutant is one of them
			down := p.Op == token.LSS || p.Op == token.GEQ
			if p.X == e {
				down = p.Op == token.GTR || p.Op == token.LEQ
			}
			switch p.Op {
			case token.LSS, token.LEQ, token.GTR, token.GEQ:
				if down && len(all) == 1 {
					return
				}
				all = []alternative{more}
				if down {
					all = []alternative{less}
				}
			case token.MUL, token.QUO:
				if tv.Value.ExactString() == "1" {
					all = all[:1]
				}
			}
		}
		f.alternatives(e, tv.Type, all...)
	case basic.Info()&types.IsString != 0 && tv.Value.ExactString() != `""`:
		if _, ok := f.parent(1).(*ast.KeyValueExpr); ok {
			f.zeroOf(e, tv.Type, "zero")
		}
	}
}

// withinConstant reports whether the node is only a part of a constant.
func (f *finder) withinConstant() bool {
	for i := 1; ; i++ {
		e, ok := f.parent(i).(ast.Expr)
		if !ok {
			return false
		}
		if _, isCall := e.(*ast.CallExpr); f.info.Types[e].Value != nil && !isCall {
			return true
		}
	}
}
