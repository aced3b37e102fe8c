package cosmos

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"

	"github.com/cosmos-almanac/almanac/schemas"
)

// Account is what `GET /` says.
type Account struct {
	ID           string
	WriteRegions []string
}

// Attempts in trouble. Somebody who starts a program wants to know soon that nobody answers.
const (
	accountAttempts = 3
	readAttempts    = 7 // at a container or its ranges
)

// persist lets azcosmos send a read as often as rest sends a request. By itself azcosmos takes 410, 449 and 503 for ends.
func (c *Client) persist(ctx context.Context, op string, read func(ctx context.Context) error) error {
	q := request{op: op + " at " + c.host, absent: absentIsAnswer, attempts: readAttempts}
	answer, err := c.rest.persist(ctx, q, func(ctx context.Context) (answer, time.Duration, error) {
		err := read(policy.WithRetryOptions(ctx, policy.RetryOptions{MaxRetries: -1}))
		if err == nil {
			return answer{op: q.op, status: http.StatusOK}, 0, nil
		}
		return answerIn(q.op, err)
	})
	switch {
	case err != nil:
		return err
	case answer.status != http.StatusOK:
		return answer.refusal()
	}
	return nil
}

// ReadAccount asks the account about itself. It is the cheapest proof that endpoint and key work.
func (c *Client) ReadAccount(ctx context.Context) (*Account, error) {
	op := "read account " + c.host
	answer, err := c.rest.do(ctx, request{op: op, method: "GET", path: "/", absent: absentIsAnswer, attempts: accountAttempts})
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
	if len(account.WriteRegions) > 0 {
		if err := c.writesIn(account.WriteRegions[0]); err != nil {
			return nil, fmt.Errorf("%s: %w", op, err)
		}
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
	var response azcosmos.ContainerResponse
	if err := c.persist(ctx, op, func(ctx context.Context) (err error) {
		response, err = ask(ctx, c, database, name, func(ctx context.Context, container *azcosmos.ContainerClient) (azcosmos.ContainerResponse, error) {
			return container.Read(ctx, nil)
		})
		return err
	}); err != nil {
		return nil, err
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
	var answer []azcosmos.FeedRange
	if err := c.persist(ctx, op, func(ctx context.Context) (err error) {
		answer, err = ask(ctx, c, database, name, func(ctx context.Context, container *azcosmos.ContainerClient) ([]azcosmos.FeedRange, error) {
			return container.ReadFeedRanges(ctx, nil)
		})
		return err
	}); err != nil {
		return nil, err
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
