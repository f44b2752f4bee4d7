// Command kstatus tells how tools that this project did not write see a Kubernetes object.
//
// It reads the object as JSON on standard input and prints one line: the status that kstatus computes (the library
// behind `flux` and `helm --wait`), or, given the file of an Argo CD health script, the health that the script computes.
package main

import (
	"fmt"
	"io"
	"os"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

func main() {
	line, err := run(os.Args[1:], os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(line)
}

func run(scripts []string, input io.Reader) (string, error) {
	text, err := io.ReadAll(input)
	if err != nil {
		return "", err
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(text); err != nil {
		return "", fmt.Errorf("standard input is not a Kubernetes object as JSON: %w", err)
	}
	switch len(scripts) {
	case 0:
		return kstatus(object)
	case 1:
		return argoHealth(scripts[0], object.Object)
	default:
		return "", fmt.Errorf("usage: kstatus [HEALTH.LUA] < OBJECT.json")
	}
}

func kstatus(object *unstructured.Unstructured) (string, error) {
	result, err := status.Compute(object)
	if err != nil {
		return "", err
	}
	return result.Status.String() + ": " + result.Message, nil
}

// argoHealth runs a health script as Argo CD does: the object is the global `obj`, the base, table and string libraries
// are there, and the script returns a table with `status` and `message`.
func argoHealth(script string, object map[string]any) (string, error) {
	source, err := os.ReadFile(script)
	if err != nil {
		return "", err
	}
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable, lua.StringLibName: lua.OpenString,
	} {
		state.Push(state.NewFunction(open))
		state.Push(lua.LString(name))
		state.Call(1, 0)
	}
	state.SetGlobal("obj", toLua(state, object))
	if err := state.DoString(string(source)); err != nil {
		return "", err
	}
	health, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return "", fmt.Errorf("%s returned %s, not a table", script, state.Get(-1).Type())
	}
	return lua.LVAsString(health.RawGetString("status")) + ": " + lua.LVAsString(health.RawGetString("message")), nil
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, item := range value {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, item := range value {
			table.Append(toLua(state, item))
		}
		return table
	case string:
		return lua.LString(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case bool:
		return lua.LBool(value)
	default:
		return lua.LNil
	}
}
