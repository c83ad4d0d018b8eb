package table

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// MaxValueBytes bounds the value of an identifier.
const MaxValueBytes = 256

// ErrIdentifier says that a text is no identifier.
var ErrIdentifier = errors.New("not an identifier: write it as kind:value")

// Identifier is one name of a node.
type Identifier struct{ Kind, Value string }

// ParseIdentifier reads kind:value; the value may hold further colons.
func ParseIdentifier(text string) (Identifier, error) {
	kind, value, _ := strings.Cut(text, ":")
	if kind == "" || value == "" || len(value) > MaxValueBytes || !utf8.ValidString(text) {
		return Identifier{}, ErrIdentifier
	}
	return Identifier{kind, value}, nil
}

func (i Identifier) String() string { return i.Kind + ":" + i.Value }

// Class is what a node is; it follows from the kind alone.
type Class uint8

// The classes. A kind outside the vocabulary is a credential, the strictest.
const (
	Credential Class = iota
	Principal
	Container
)

// Vocabulary is the class of each kind, as the server tells it.
type Vocabulary map[string]Class

const (
	labels  = "label." // begins the kinds of labels
	ownerOf = "owner.of"
)

// class of a kind; those of labels and of what stands for an owner need not be declared.
func (v Vocabulary) class(kind string) Class {
	class, declared := v[kind]
	if !declared && (strings.HasPrefix(kind, labels) || kind == ownerOf) {
		return Container
	}
	return class
}

// ReadVocabulary reads what a snapshot or table brings.
func ReadVocabulary(plain any) (Vocabulary, error) {
	told, ok := plain.(map[string]any)
	if !ok {
		return nil, errors.New("not a vocabulary")
	}
	read := make(Vocabulary, len(told))
	for kind, name := range told {
		switch name {
		case "credential":
			read[kind] = Credential
		case "principal":
			read[kind] = Principal
		case "container":
			read[kind] = Container
		default:
			return nil, errors.New("not a vocabulary: an unknown class")
		}
	}
	return read, nil
}
