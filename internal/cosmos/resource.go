package cosmos

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/cosmos-almanac/almanac/schemas"
)

// Account is what `GET /` says.
type Account struct {
	ID           string
	WriteRegions []string
}

// ReadAccount asks the account about itself. It is the cheapest proof that endpoint and key work.
func (c *Client) ReadAccount(ctx context.Context) (*Account, error) {
	op := "read account " + c.host
	answer, _, err := c.rest.try(ctx, request{op: op, method: "GET", path: "/"})
	if err != nil {
		return nil, err
	}
	if answer.status != http.StatusOK {
		return nil, answer.refusal()
	}
	var said struct {
		ID      string `json:"id"`
		Regions []struct {
			Name string `json:"name"`
		} `json:"writableLocations"`
	}
	if err := json.Unmarshal(answer.body, &said); err != nil {
		return nil, fmt.Errorf("%s: its answer is no account: %w", op, err)
	}
	account := &Account{ID: said.ID}
	for _, region := range said.Regions {
		account.WriteRegions = append(account.WriteRegions, region.Name)
	}
	return account, nil
}

// Container is a container's identity and definition.
type Container struct {
	Database string
	Name     string
	RID      string // the incarnation: another container under the same name has another
	Resource []byte // the definition as the service sent it
	Key      schemas.KeyDefinition
}

// String is `database.container`.
func (c *Container) String() string { return c.Database + "." + c.Name }

// ReadContainer reads the definition, never from a cache; azcosmos refreshes its own by the same answer.
func (c *Client) ReadContainer(ctx context.Context, database, name string) (*Container, error) {
	op := "read container " + database + "." + name
	container, err := c.sdk.NewContainer(database, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	response, err := container.Read(ctx, nil)
	if err != nil {
		return nil, c.convert(op, err)
	}
	resource, err := runtime.Payload(response.RawResponse)
	if err != nil {
		return nil, fmt.Errorf("%s: read answer: %w", op, err)
	}
	result := &Container{Database: database, Name: name, Resource: slices.Clone(resource)}
	if response.ContainerProperties != nil {
		result.RID = response.ContainerProperties.ResourceID
	}
	if result.RID == "" {
		return nil, fmt.Errorf("%s: the answer names no resource id", op)
	}
	if result.Key, err = schemas.ParseKeyDefinition(resource); err != nil {
		return nil, badConfig("%s: %v", op, err)
	}
	return result, nil
}

// FeedRanges reads the physical ranges of a container, ascending. They tile the key space.
func (c *Client) FeedRanges(ctx context.Context, database, name string) ([]schemas.FeedRange, error) {
	op := "read feed ranges of " + database + "." + name
	container, err := c.sdk.NewContainer(database, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	answer, err := container.ReadFeedRanges(ctx, nil)
	if err != nil {
		return nil, c.convert(op, err)
	}
	var ranges []schemas.FeedRange
	for _, one := range answer {
		span := schemas.FeedRange{Min: one.MinInclusive, Max: one.MaxExclusive}
		if span.Max == "" { // an open end (azcosmos, cosmos_feed_range.go)
			span.Max = schemas.MaxEPK
		}
		if err := span.Validate(); err != nil {
			return nil, fmt.Errorf("%s: %w", op, err)
		}
		ranges = append(ranges, span)
	}
	slices.SortFunc(ranges, func(a, b schemas.FeedRange) int { return schemas.CompareEPK(a.Min, b.Min) })
	next := schemas.MinEPK
	for _, span := range ranges {
		if schemas.CompareEPK(span.Min, next) != 0 {
			return nil, fmt.Errorf("%s: %s follows %s: the ranges do not tile the key space", op, span, next)
		}
		next = span.Max
	}
	if schemas.CompareEPK(next, schemas.MaxEPK) != 0 {
		return nil, fmt.Errorf("%s: they end at %q: the ranges do not tile the key space", op, next)
	}
	return ranges, nil
}
