package embedded

import (
	"context"
	"errors"
	"maps"

	"go.etcd.io/bbolt"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

// Plans is the license.PlanStore in a data folder. The keys of its bucket are in the order of the list.
type Plans struct{ db *database }

var _ license.PlanStore = (*Plans)(nil)

// Get implements license.PlanStore.
func (s *Plans) Get(ctx context.Context, name string) (p license.Plan, err error) {
	if err := ctx.Err(); err != nil {
		return license.Plan{}, err
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		p, err = readPlan(tx, name)
		return err
	})
	return p, err
}

// Put implements license.PlanStore.
func (s *Plans) Put(ctx context.Context, before, after license.Plan) error {
	return write(ctx, s.db, func(tx *bbolt.Tx) (refusal, err error) {
		if meets, err := meetsPlan(tx, after.Name, before); err != nil || !meets {
			return license.ErrPlanConflict, err
		}
		return nil, putJSON(tx.Bucket(plansBucket), []byte(after.Name), after.Record())
	})
}

// Delete implements license.PlanStore.
func (s *Plans) Delete(ctx context.Context, p license.Plan) error {
	return write(ctx, s.db, func(tx *bbolt.Tx) (refusal, err error) {
		if meets, err := meetsPlan(tx, p.Name, p); err != nil || !meets || p.Version == 0 {
			return license.ErrPlanConflict, err
		}
		return nil, tx.Bucket(plansBucket).Delete([]byte(p.Name))
	})
}

// meetsPlan reports whether the plan that is stored under the name, or none, is the expected one.
func meetsPlan(tx *bbolt.Tx, name string, expected license.Plan) (bool, error) {
	stored, err := readPlan(tx, name)
	switch {
	case errors.Is(err, license.ErrNoPlan):
		return expected.Version == 0, nil
	case err != nil:
		return false, err
	}
	return maps.Equal(stored.Expectation(), expected.Expectation()), nil
}

// List implements license.PlanStore.
func (s *Plans) List(ctx context.Context, after string, limit int) (plans []license.Plan, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(plansBucket).Cursor()
		name, _ := cursor.Seek([]byte(after))
		if name != nil && string(name) == after {
			name, _ = cursor.Next()
		}
		for ; name != nil && len(plans) < limit; name, _ = cursor.Next() {
			p, err := readPlan(tx, string(name))
			if err != nil {
				return err
			}
			plans = append(plans, p)
		}
		return nil
	})
	return plans, err
}

func readPlan(tx *bbolt.Tx, name string) (license.Plan, error) {
	var record attribute.Map
	found, err := getJSON(tx.Bucket(plansBucket), []byte(name), &record)
	switch {
	case err != nil:
		return license.Plan{}, err
	case !found:
		return license.Plan{}, license.ErrNoPlan
	}
	return license.PlanFromRecord(record)
}
