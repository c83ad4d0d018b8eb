package table

import (
	"errors"
	"fmt"
	"strings"
)

// limits says what is wrong with the end and the kinds of a cause.
func (f *Fact) limits() error {
	if f.Kind != "cause" || f.Until == nil && len(f.Kinds)+len(f.Where) == 0 && f.Node.Kind != authorityOf {
		return nil
	}
	if f.Effect != Suspend && f.Effect != Narrow {
		return fmt.Errorf("a %s has no until, kinds or where, and no owner for a target", f.Effect)
	}
	if f.Self && len(f.Kinds)+len(f.Where) > 0 {
		return errors.New("a cause with kinds or where has the reach subtree")
	}
	if len(f.Where) > mostConditions+1 {
		return fmt.Errorf("a cause has at most %d conditions", mostConditions)
	}
	for _, name := range append([]Identifier{f.Node}, f.Where...) {
		if name.Kind == authorityOf {
			return errors.New("an authority is no condition")
		}
	}
	for _, name := range f.Where {
		if strings.HasPrefix(name.Kind, attributes) {
			return fmt.Errorf("%s is no condition", name.Kind)
		}
		if name.Kind == ownerOf {
			if _, err := ParseIdentifier(name.Value); err != nil {
				return err
			}
		}
	}
	for _, kind := range f.Kinds {
		if kind == "" || strings.Contains(kind, ":") {
			return fmt.Errorf("%q is no kind", kind)
		}
	}
	return nil
}
