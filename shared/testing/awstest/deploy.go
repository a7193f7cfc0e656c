package awstest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"openlicenser/shared/testing/kmstest"
	"openlicenser/shared/testing/samtemplate"
)

// Cloud is where a template can be deployed.
type Cloud struct {
	DynamoDB       *dynamodb.Client
	SecretsManager *secretsmanager.Client
	KMS            *kmstest.KMS
}

// NewCloud returns a cloud of DynamoDB Local and moto at their URLs, and of a KMS without keys.
func NewCloud(dynamoDB, moto string) Cloud {
	return Cloud{
		DynamoDB:       dynamodb.NewFromConfig(Config(dynamoDB)),
		SecretsManager: secretsmanager.NewFromConfig(Config(moto)),
		KMS:            kmstest.New(time.Now),
	}
}

// values are what !Ref and !GetAtt of the template name, as "LicenseTable.StreamArn".
type values = map[string]any

// Deploy makes the tables, secrets and keys that the template declares. It returns the template with their names and
// ARNs for values, and those of its buckets. name returns the name of a resource by its logical id.
func Deploy(
	ctx context.Context, t *samtemplate.Template, cloud Cloud, name func(id string) string,
) (*samtemplate.Template, error) {
	made := values{}
	for resourceType, deploy := range map[string]func(
		ctx context.Context, t *samtemplate.Template, id, name string,
	) (values, error){
		"AWS::DynamoDB::GlobalTable":  cloud.deployTable,
		"AWS::DynamoDB::Table":        cloud.deployTable,
		"AWS::SecretsManager::Secret": cloud.deploySecret,
		"AWS::KMS::Alias":             cloud.deployKey,
		"AWS::S3::Bucket":             nameBucket,
	} {
		ids, err := t.Of(resourceType)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			of, err := deploy(ctx, t, id, name(id))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", id, err)
			}
			maps.Copy(made, of)
		}
	}
	return t.With(made), nil
}

func (c Cloud) deployTable(ctx context.Context, t *samtemplate.Template, id, name string) (values, error) {
	table, err := createTable(ctx, c.DynamoDB, t, id, name)
	if err != nil {
		return nil, err
	}
	// DynamoDB Local has an account of its own in its ARNs.
	of := values{id: name, id + ".Arn": "arn:aws:dynamodb:" + Region + ":" + samtemplate.Account + ":table/" + name}
	if table.LatestStreamArn != nil {
		of[id+".StreamArn"] = *table.LatestStreamArn
	}
	return of, enableTimeToLive(ctx, c.DynamoDB, t, id, name)
}

// nameBucket makes nothing: a stand-in for S3 has every bucket.
func nameBucket(_ context.Context, _ *samtemplate.Template, id, name string) (values, error) {
	name = strings.ToLower(name)
	return values{id: name, id + ".Arn": "arn:aws:s3:::" + name}, nil
}

func (c Cloud) deploySecret(ctx context.Context, t *samtemplate.Template, id, name string) (values, error) {
	property, err := t.Property(id, "GenerateSecretString")
	if err != nil {
		return nil, err
	}
	var declared struct {
		SecretStringTemplate, GenerateStringKey string
		PasswordLength                          int64
		ExcludePunctuation                      bool
	}
	text, err := json.Marshal(property)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &declared); err != nil {
		return nil, err
	}
	password, err := c.SecretsManager.GetRandomPassword(ctx, &secretsmanager.GetRandomPasswordInput{
		PasswordLength: &declared.PasswordLength, ExcludePunctuation: &declared.ExcludePunctuation,
	})
	if err != nil {
		return nil, err
	}
	object := map[string]any{}
	if err := json.Unmarshal([]byte(declared.SecretStringTemplate), &object); err != nil {
		return nil, err
	}
	object[declared.GenerateStringKey] = aws.ToString(password.RandomPassword)
	if text, err = json.Marshal(object); err != nil {
		return nil, err
	}
	out, err := c.SecretsManager.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name: &name, SecretString: aws.String(string(text)),
	})
	if err != nil {
		return nil, err
	}
	return values{id: aws.ToString(out.ARN)}, nil
}

// deployKey makes the key that has an alias. It can be asked for by the alias, by name, and by its logical id.
func (c Cloud) deployKey(_ context.Context, t *samtemplate.Template, id, name string) (values, error) {
	alias, err := t.Property(id, "AliasName")
	if err != nil {
		return nil, err
	}
	property, err := t.Property(id, "TargetKeyId")
	if err != nil {
		return nil, err
	}
	key := fmt.Sprint(property)
	spec, err := t.Property(key, "KeySpec")
	if err != nil {
		return nil, err
	}
	add := map[any]func(...string) (string, error){
		"RSA_2048": c.KMS.AddRSA, "ECC_NIST_EDWARDS25519": c.KMS.AddEd25519,
	}[spec]
	if add == nil {
		return nil, fmt.Errorf("no key can be made of the spec %v", spec)
	}
	keyID, err := add(fmt.Sprint(alias), name, key)
	arn := kmstest.ARN(keyID)
	return values{id: alias, key: arn, key + ".Arn": arn}, err
}
