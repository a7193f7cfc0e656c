package main

import (
	"cmp"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"

	"github.com/CycloneDX/cyclonedx-go"

	"openlicenser/shared/version"
)

// billOfMaterials writes the modules in the binaries, as the binaries list them, in CycloneDX's format.
func (r *release) billOfMaterials() (err error) {
	modules := map[string]debug.Module{}
	var goVersion string
	for _, binary := range r.binaries {
		info, err := buildinfo.ReadFile(binary)
		if err != nil {
			return err
		}
		goVersion = info.GoVersion
		for _, module := range info.Deps {
			if module.Replace != nil {
				module = module.Replace
			}
			modules[module.Path+"@"+module.Version] = *module
		}
	}
	file, err := os.Create(r.path(".sbom.json"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return cyclonedx.NewBOMEncoder(file, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(newBOM(modules, goVersion))
}

// newBOM returns a bill of materials without a serial number and a time, which would differ on every machine.
func newBOM(modules map[string]debug.Module, goVersion string) *cyclonedx.BOM {
	bom := cyclonedx.NewBOM()
	bom.Metadata = &cyclonedx.Metadata{Component: &cyclonedx.Component{
		BOMRef:   "open-licenser",
		Type:     cyclonedx.ComponentTypeApplication,
		Name:     "open-licenser",
		Version:  version.Number,
		Licenses: &cyclonedx.Licenses{{License: &cyclonedx.License{ID: "MIT"}}},
	}}
	components := []cyclonedx.Component{library("std", goVersion)}
	for _, module := range modules {
		components = append(components, library(module.Path, module.Version))
	}
	slices.SortFunc(components, func(a, b cyclonedx.Component) int { return cmp.Compare(a.BOMRef, b.BOMRef) })
	bom.Components = &components
	return bom
}

func library(path, version string) cyclonedx.Component {
	url := fmt.Sprintf("pkg:golang/%s@%s", path, version)
	return cyclonedx.Component{
		BOMRef: url, Type: cyclonedx.ComponentTypeLibrary, Name: path, Version: version, PackageURL: url,
	}
}
