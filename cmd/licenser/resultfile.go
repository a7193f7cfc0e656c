package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// resultFile is the result of an import, which holds license keys: nobody else may read it. It takes the place of an
// earlier one when it is whole, so that an import which is interrupted loses no keys.
type resultFile struct {
	*os.File
	path    string
	inPlace bool // the path is no file, as /dev/stdout
}

// checkResult refuses a path that the result cannot be written to. The import's own file is one.
func checkResult(path string, imported fs.FileInfo) error {
	there, err := os.Stat(path)
	switch {
	case err == nil && os.SameFile(there, imported):
		return usageError("--result %s is the file that is imported: name another one.", path)
	case err == nil && there.IsDir():
		return usageError("--result %s is a folder: name a file in it.", path)
	case err == nil:
		return nil
	}
	if folder, err := os.Stat(filepath.Dir(path)); err != nil || !folder.IsDir() {
		return usageError("--result %s: there is no folder %s.", path, filepath.Dir(path))
	}
	return nil
}

func createResult(path string) (*resultFile, error) {
	if there, err := os.Stat(path); err == nil && !there.Mode().IsRegular() {
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		return &resultFile{file, path, true}, err
	}
	part := path + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, usageError("%w; --result names another file", err)
	}
	file, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, usageError("%w; --result names another file", err)
	}
	return &resultFile{file, path, false}, nil
}

// finish closes the file, and returns where it is. One that is not whole leaves an earlier one as it is.
func (f *resultFile) finish(isWhole bool) (path string, err error) {
	err = f.Close()
	if f.inPlace {
		return f.path, err
	}
	if _, errEarlier := os.Lstat(f.path); err != nil || !isWhole && errEarlier == nil {
		return f.Name(), err
	}
	if err := os.Rename(f.Name(), f.path); err != nil {
		return f.Name(), fmt.Errorf("the result stays in %s: %w", f.Name(), err)
	}
	return f.path, nil
}
