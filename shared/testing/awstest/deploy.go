package awstest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"openlicenser/shared/testing/kmstest"
)

// Cloud is where a template can be deployed to.
type Cloud struct {
	DynamoDB       *dynamodb.Client
	SecretsManager *secretsmanager.Client
	KMS            *kmstest.KMS
}

// NewCloud reaches DynamoDB Local and moto by their URLs, and has no keys yet.
func NewCloud(dynamoDB, moto string) Cloud {
	return Cloud{
		DynamoDB:       dynamodb.NewFromConfig(Config(dynamoDB)),
		SecretsManager: secretsmanager.NewFromConfig(Config(moto)),
		KMS:            kmstest.New(time.Now),
	}
}

// Deploy makes the tables, secrets and keys that the template declares, and answers the template with their names and
// ARNs for values. name says what a resource is called.
func (t *Template) Deploy(ctx context.Context, cloud Cloud, name func(id string) string) (*Template, error) {
	deployed := *t
	deployed.values = map[string]any{}
	maps.Copy(deployed.values, t.values)
	for resourceType, make := range map[string]func(context.Context, Cloud, string, string) error{
		"AWS::DynamoDB::GlobalTable":  deployed.deployTable,
		"AWS::DynamoDB::Table":        deployed.deployTable,
		"AWS::SecretsManager::Secret": deployed.deploySecret,
		"AWS::KMS::Alias":             deployed.deployKey,
	} {
		ids, err := t.Of(resourceType)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			if err := make(ctx, cloud, id, name(id)); err != nil {
				return nil, fmt.Errorf("%s: %w", id, err)
			}
		}
	}
	return &deployed, nil
}

// Value answers what !Ref and !GetAtt answer for a name, as "LicenseTable.StreamArn".
func (t *Template) Value(name string) string { return fmt.Sprint(t.values[name]) }

func (t *Template) deployTable(ctx context.Context, cloud Cloud, id, name string) error {
	table, err := t.CreateTable(ctx, cloud.DynamoDB, id, name)
	if err != nil {
		return err
	}
	t.values[id] = name
	t.values[id+".Arn"] = aws.ToString(table.TableArn)
	if table.LatestStreamArn != nil {
		t.values[id+".StreamArn"] = *table.LatestStreamArn
	}
	return t.EnableTimeToLive(ctx, cloud.DynamoDB, id, name)
}

func (t *Template) deploySecret(ctx context.Context, cloud Cloud, id, name string) error {
	property, err := t.Property(id, "GenerateSecretString")
	if err != nil {
		return err
	}
	var declared struct {
		SecretStringTemplate, GenerateStringKey string
		PasswordLength                          int64
		ExcludePunctuation                      bool
	}
	text, err := json.Marshal(property)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &declared); err != nil {
		return err
	}
	password, err := cloud.SecretsManager.GetRandomPassword(ctx, &secretsmanager.GetRandomPasswordInput{
		PasswordLength: &declared.PasswordLength, ExcludePunctuation: &declared.ExcludePunctuation,
	})
	if err != nil {
		return err
	}
	object := map[string]any{}
	if err := json.Unmarshal([]byte(declared.SecretStringTemplate), &object); err != nil {
		return err
	}
	object[declared.GenerateStringKey] = aws.ToString(password.RandomPassword)
	if text, err = json.Marshal(object); err != nil {
		return err
	}
	out, err := cloud.SecretsManager.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: aws.String(string(text))})
	if err == nil {
		t.values[id] = aws.ToString(out.ARN)
	}
	return err
}

// deployKey makes the key that an alias stands for. It goes by the alias's name, by name, and by its logical id.
func (t *Template) deployKey(_ context.Context, cloud Cloud, id, name string) error {
	alias, err := t.Property(id, "AliasName")
	if err != nil {
		return err
	}
	key, err := t.Property(id, "TargetKeyId")
	if err != nil {
		return err
	}
	spec, err := t.Property(fmt.Sprint(key), "KeySpec")
	if err != nil {
		return err
	}
	add := map[any]func(...string) (string, error){"RSA_2048": cloud.KMS.AddRSA, "ECC_NIST_EDWARDS25519": cloud.KMS.AddEd25519}[spec]
	if add == nil {
		return fmt.Errorf("no key can be made of the spec %v", spec)
	}
	keyID, err := add(fmt.Sprint(alias), name, fmt.Sprint(key))
	arn := kmstest.ARN(keyID)
	t.values[id] = alias
	t.values[fmt.Sprint(key)] = arn
	t.values[fmt.Sprint(key)+".Arn"] = arn
	return err
}
