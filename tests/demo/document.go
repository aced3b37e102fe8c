package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
)

//go:embed data/products-and-reviews.json
var sample []byte

// kind is what a document is about.
type kind string

const (
	product kind = "product"
	review  kind = "review"
	order   kind = "order"
	invoice kind = "invoice"
)

// document is one of the shop's as it stands in its container now. One goroutine at a time works on it.
type document struct {
	key  string // its partition key as a JSON array
	id   string
	kind kind
	body []byte // never changed in place: another version is another slice
	gone bool   // deleted softly
}

// cut returns the exact bytes of every element of a JSON array, blanks inside included.
func cut(array []byte) ([][]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(array))
	if first, err := decoder.Token(); err != nil || first != json.Delim('[') {
		return nil, fmt.Errorf("cut documents: the text begins with %v, want [ (%w)", first, err)
	}
	var out [][]byte
	for decoder.More() {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return nil, fmt.Errorf("cut document %d: %w", len(out), err)
		}
		out = append(out, raw)
	}
	if _, err := decoder.Token(); err != nil {
		return nil, fmt.Errorf("cut documents: find the end: %w", err)
	}
	return out, nil
}

// samples are the documents of the file.
func samples() ([]*document, error) {
	bodies, err := cut(sample)
	if err != nil {
		return nil, err
	}
	var out []*document
	for _, body := range bodies {
		var f struct {
			ID           string `json:"id"`
			DocType      kind   `json:"docType"`
			CategoryName string `json:"categoryName"`
		}
		if err := json.Unmarshal(body, &f); err != nil {
			return nil, fmt.Errorf("read sample document %d: %w", len(out), err)
		}
		out = append(out, &document{key: keyOf(f.CategoryName), id: f.ID, kind: f.DocType, body: body})
	}
	return out, nil
}

// keyOf writes a partition key.
func keyOf(values ...string) string {
	text, err := json.Marshal(values)
	if err != nil {
		panic(err) // strings can always be written
	}
	return string(text)
}

// number finds a number and what stands before it, in the text of a document as in a compact one.
func number(property string) *regexp.Regexp {
	return regexp.MustCompile(`("` + property + `":\s*)(-?[0-9][0-9.eE+-]*)`)
}

// withNumber changes one number of a document and no other byte.
func withNumber(body []byte, property, value string) []byte {
	at := number(property).FindSubmatchIndex(body)
	if at == nil {
		return body
	}
	out := append([]byte{}, body[:at[4]]...)
	out = append(out, value...)
	return append(out, body[at[5]:]...)
}

// numberIn is a number of a document as it is written there, or "".
func numberIn(body []byte, property string) string {
	if found := number(property).FindSubmatch(body); found != nil {
		return string(found[2])
	}
	return ""
}

// priceOf is 0 for a document without a price.
func priceOf(body []byte) float64 {
	price, err := strconv.ParseFloat(numberIn(body, "currentPrice"), 64)
	if err != nil {
		return 0
	}
	return price
}

// softDeleted marks a document as deleted, as the shop does it: the document stays, and says so.
func softDeleted(body []byte) []byte {
	rest := bytes.TrimPrefix(body, []byte("{"))
	blank := len(rest) - len(bytes.TrimLeft(rest, " \n")) // as the next member is set off
	out := append([]byte("{"), rest[:blank]...)
	out = append(out, `"deleted": true,`...)
	return append(out, rest...)
}

// botched is a document as the bad deployment writes it. It takes cents for euros, takes reviews for spam, and writes
// all members anew: other order, other numbers, no blanks.
func botched(d *document) ([]byte, error) {
	var members map[string]any
	if err := json.Unmarshal(d.body, &members); err != nil {
		return nil, fmt.Errorf("read %s %s: %w", d.kind, d.id, err)
	}
	if price, ok := members["currentPrice"].(float64); ok {
		members["currentPrice"] = price / 100
	} else {
		members["deleted"] = true
	}
	body, err := json.Marshal(members)
	if err != nil {
		return nil, fmt.Errorf("write %s %s: %w", d.kind, d.id, err)
	}
	return body, nil
}
