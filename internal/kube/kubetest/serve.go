package kubetest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"path"
	"reflect"
	"slices"
	"strings"
)

// status is the API's answer to what it does not do.
type status struct {
	Kind       string `json:"kind"`
	APIVersion string `json:"apiVersion"`
	Status     string `json:"status"`
	Message    string `json:"message"`
	Reason     string `json:"reason"`
	Code       int    `json:"code"`
}

func refuse(code int, reason, format string, args ...any) *status {
	return &status{Code: code, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// prefixes are the paths of what there is, by resource.
var prefixes = map[string]string{"endpointslices": "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/", "pods": "/api/v1/namespaces/shop/pods/"}

// SlicePath is where an EndpointSlice of the namespace is.
func SlicePath(name string) string { return prefixes["endpointslices"] + name }

// PodPath is where a Pod of the namespace is.
func PodPath(name string) string { return prefixes["pods"] + name }

// admit says who asks for what, and whether that may be.
func (s *Server) admit(r *http.Request) (Call, *status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	c := Call{User: s.users[token], Verb: strings.ToLower(r.Method), Path: r.URL.Path}
	if c.User == "" {
		return c, refuse(http.StatusUnauthorized, "Unauthorized", "Unauthorized")
	}
	dir, name := path.Split(c.Path)
	for resource, prefix := range prefixes {
		if dir != prefix {
			continue
		}
		for _, rule := range s.rules {
			if rule.User == c.User && rule.Resource == resource && slices.Contains(rule.Verbs, c.Verb) && (rule.Names == nil || slices.Contains(rule.Names, name)) {
				return c, nil
			}
		}
		return c, refuse(http.StatusForbidden, "Forbidden", "%s %q is forbidden: User %q cannot %s resource %q in the namespace %q", resource, name, c.User, c.Verb, resource, "shop")
	}
	return c, refuse(http.StatusNotFound, "NotFound", "the server could not find the requested resource")
}

// serve does what has been admitted. The caller has the lock.
func (s *Server) serve(c Call, r *http.Request) (any, *status) {
	old := s.objects[c.Path]
	switch {
	case old == nil:
		return nil, refuse(http.StatusNotFound, "NotFound", "%q not found", path.Base(c.Path))
	case c.Verb == "get":
		return old, nil
	case c.Verb != "patch":
		return nil, refuse(http.StatusMethodNotAllowed, "MethodNotAllowed", "the server does not allow this method on the requested resource")
	case r.Header.Get("Content-Type") != "application/merge-patch+json":
		return nil, refuse(http.StatusUnsupportedMediaType, "UnsupportedMediaType", "the body of the request was in an unknown format")
	}
	var patch map[string]any
	if body, err := io.ReadAll(r.Body); err != nil || json.Unmarshal(body, &patch) != nil {
		return nil, refuse(http.StatusBadRequest, "BadRequest", "the patch is no JSON object")
	}
	next := merge(clone(old), patch).(map[string]any)
	switch before, after := version(old), version(next); after {
	case before:
	case nil, "": // it says nothing of the version, and is merged into whichever there is
		next["metadata"].(map[string]any)["resourceVersion"] = before
	default:
		return nil, refuse(http.StatusConflict, "Conflict", "Operation cannot be fulfilled on %q: the object has been modified; please apply your changes to the latest version and try again", path.Base(c.Path))
	}
	if refusal := validate(c.Path, old, next, r.URL.Query().Get("fieldValidation") == "Strict"); refusal != nil {
		return nil, refusal
	}
	if !reflect.DeepEqual(old, next) { // what changes nothing makes no new version
		s.keep(c.Path, next)
	}
	return s.objects[c.Path], nil
}

func version(o map[string]any) any { return o["metadata"].(map[string]any)["resourceVersion"] }

// merge is RFC 7396.
func merge(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	t, ok := target.(map[string]any)
	if !ok {
		t = make(map[string]any)
	}
	for key, value := range p {
		if value == nil {
			delete(t, key)
		} else {
			t[key] = merge(t[key], value)
		}
	}
	return t
}

// fields are the names that an object may have, each with those below it; nil: any.
type fields map[string]fields

var (
	meta = fields{"name": {}, "namespace": {}, "uid": {}, "resourceVersion": {}, "labels": nil, "annotations": nil}

	known = map[string]fields{
		"pods": {"apiVersion": {}, "kind": {}, "metadata": meta, "spec": nil},
		"endpointslices": {
			"apiVersion": {}, "kind": {}, "metadata": meta, "addressType": {}, "ports": nil,
			"endpoints": {
				"addresses": {}, "conditions": {"ready": {}, "serving": {}, "terminating": {}},
				"targetRef": {"kind": {}, "namespace": {}, "name": {}, "uid": {}}, "nodeName": {},
			},
		},
	}
)

// unknown returns the first field that is not known; empty: all are.
func unknown(at string, v any, known fields) string {
	if known == nil {
		return ""
	}
	switch v := v.(type) {
	case []any:
		for _, each := range v {
			if found := unknown(at, each, known); found != "" {
				return found
			}
		}
	case map[string]any:
		for name, value := range v {
			below, ok := known[name]
			if !ok {
				return at + name
			}
			if found := unknown(at+name+".", value, below); found != "" {
				return found
			}
		}
	}
	return ""
}

// slice is what is validated of one.
type slice struct {
	AddressType string
	Endpoints   []struct {
		Addresses  []string
		Conditions struct{ Ready, Serving, Terminating *bool }
		TargetRef  *struct{ Kind, Namespace, Name, UID string }
	}
}

// validate is what the API server finds wrong with an object.
func validate(at string, old, next map[string]any, strict bool) *status {
	resource := "endpointslices"
	if !strings.HasPrefix(at, prefixes[resource]) {
		resource = "pods"
	}
	if field := unknown("", next, known[resource]); strict && field != "" {
		return refuse(http.StatusBadRequest, "BadRequest", "strict decoding error: unknown field %q", field)
	}
	invalid := func(format string, args ...any) *status {
		return refuse(http.StatusUnprocessableEntity, "Invalid", format, args...)
	}
	if resource == "pods" {
		if !reflect.DeepEqual(old["spec"], next["spec"]) {
			return invalid("spec: Forbidden: pod updates may not change fields")
		}
		return nil
	}
	var s slice
	if err := json.Unmarshal(encode(next), &s); err != nil {
		return refuse(http.StatusBadRequest, "BadRequest", "%v", err)
	}
	if next["addressType"] != old["addressType"] {
		return invalid("addressType: field is immutable")
	}
	for i, e := range s.Endpoints {
		if len(e.Addresses) == 0 {
			return invalid("endpoints[%d].addresses: Required value", i)
		}
		for _, text := range e.Addresses {
			if a, err := netip.ParseAddr(text); err != nil || a.Is4() != (s.AddressType == "IPv4") {
				return invalid("endpoints[%d].addresses: Invalid value: %q", i, text)
			}
		}
	}
	return nil
}

// clone copies what JSON is decoded to.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		c := maps.Clone(v)
		for key, value := range c {
			c[key] = clone(value)
		}
		return c
	case []any:
		c := slices.Clone(v)
		for i, value := range c {
			c[i] = clone(value)
		}
		return c
	}
	return v
}

// encode makes JSON.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("encode an object: " + err.Error()) // they come from JSON
	}
	return b
}

// Slice is an EndpointSlice as a manifest has it, for an election; without one it is not marked.
func Slice(name, election string) map[string]any {
	annotations := map[string]any{"example.com/team": "mail"}
	if election != "" {
		annotations["elector.dev/election"] = election
	}
	return map[string]any{
		"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
		"metadata": map[string]any{
			"name": name, "namespace": "shop", "annotations": annotations, "labels": map[string]any{"kubernetes.io/service-name": name},
		},
		"ports": []any{map[string]any{"name": "http", "protocol": "TCP", "port": 8080.0}},
	}
}

// Pod is a pod of that name.
func Pod(name string) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Pod", "spec": map[string]any{"nodeName": "n1"},
		"metadata": map[string]any{"name": name, "namespace": "shop", "labels": map[string]any{"app": "mail"}},
	}
}
