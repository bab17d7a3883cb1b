// Command tlog checks a folder of C2SP tlog-tiles with golang.org/x/mod/sumdb, the code that checks Go's own modules.
//
//	tlog FOLDER LOG_KEY [WITNESS_KEY ...]   signatures, every tile, every entry, proofs from the tiles
//	tlog -proof FILE LOG_KEY                one tlog-proof whose leaf is in its extra line
//
// It prints what it found, a line each, and exits with 1 where anything does not hold.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	err := run(os.Args[1:])
	if err != nil {
		fmt.Println("refused:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if args[0] == "-proof" {
		return checkProof(args[1], args[2])
	}
	signed, err := os.ReadFile(filepath.Join(args[0], "checkpoint"))
	if err != nil {
		return err
	}
	tree, err := openCheckpoint(signed, args[1], args[2:])
	if err != nil {
		return err
	}
	return checkFolder(args[0], tree)
}

func openCheckpoint(signed []byte, logKey string, witnessKeys []string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(logKey)
	if err != nil {
		return tlog.Tree{}, err
	}
	verifiers := []note.Verifier{verifier}
	for _, text := range witnessKeys {
		witness, err := newWitness(text)
		if err != nil {
			return tlog.Tree{}, err
		}
		verifiers = append(verifiers, witness)
	}
	opened, err := note.Open(signed, note.VerifierList(verifiers...))
	if err != nil {
		return tlog.Tree{}, err
	}
	for _, one := range opened.Sigs {
		fmt.Println("signed by", one.Name)
	}
	return parseCheckpoint(opened.Text)
}

func parseCheckpoint(text string) (tlog.Tree, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 {
		return tlog.Tree{}, fmt.Errorf("a checkpoint has three lines")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	hash, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: hash}, err
}

// folder reads tiles of height 8 whose paths lack the height, which C2SP fixed and Go's sumdb spells out.
type folder string

func (f folder) Height() int                               { return 8 }
func (f folder) SaveTiles(tiles []tlog.Tile, data [][]byte) {}
func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		path = strings.Replace(path, "tile/data/", "tile/entries/", 1)
		data, err := os.ReadFile(filepath.Join(string(f), path))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func checkFolder(path string, tree tlog.Tree) error {
	hashes := tlog.TileHashReader(tree, folder(path))
	root, err := tlog.TreeHash(tree.N, hashes)
	if err != nil || root != tree.Hash {
		return fmt.Errorf("root: %v, %v", root, err)
	}
	for first := int64(0); first < tree.N; first += 256 {
		tile := tlog.Tile{H: 8, L: -1, N: first / 256, W: 256}
		if tree.N-first < 256 {
			tile.W = int(tree.N - first)
		}
		data, err := folder(path).ReadTiles([]tlog.Tile{tile})
		if err != nil {
			return err
		}
		rest := data[0]
		for place := int64(0); place < int64(tile.W); place++ {
			if len(rest) < 2 || len(rest) < 2+int(binary.BigEndian.Uint16(rest)) {
				return fmt.Errorf("entry %d is cut", first+place)
			}
			end := 2 + int(binary.BigEndian.Uint16(rest))
			if err := checkEntry(rest[2:end], first+place, tree, hashes); err != nil {
				return err
			}
			rest = rest[end:]
		}
		if len(rest) > 0 {
			return fmt.Errorf("%d bytes behind the entries of %v", len(rest), tile)
		}
	}
	fmt.Println("entries", tree.N)
	for old := int64(1); old <= tree.N; old++ {
		before, err := tlog.TreeHash(old, hashes)
		if err != nil {
			return err
		}
		proof, err := tlog.ProveTree(tree.N, old, hashes)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, old, before); err != nil {
			return err
		}
		fmt.Printf("tree %d %s %v\n", old, before, proof)
	}
	return nil
}

func checkEntry(entry []byte, index int64, tree tlog.Tree, hashes tlog.HashReader) error {
	proof, err := tlog.ProveRecord(tree.N, index, hashes)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)); err != nil {
		return fmt.Errorf("entry %d: %v", index, err)
	}
	return nil
}

func checkProof(path, logKey string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, checkpoint, found := strings.Cut(string(data), "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return fmt.Errorf("not a tlog-proof")
	}
	tree, err := openCheckpoint([]byte(checkpoint), logKey, nil)
	if err != nil {
		return err
	}
	leaf, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return err
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		return err
	}
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		proof = append(proof, hash)
	}
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(leaf)); err != nil {
		return err
	}
	fmt.Printf("leaf %d of %d: %s\n", index, tree.N, leaf)
	return nil
}

// witness verifies cosignature/v1 as c2sp.org/tlog-cosignature words it.
type witness struct {
	name string
	id   uint32
	key  ed25519.PublicKey
}

func newWitness(text string) (*witness, error) {
	name, rest, _ := strings.Cut(text, "+")
	_, key64, _ := strings.Cut(rest, "+")
	key, err := base64.StdEncoding.DecodeString(key64)
	if err != nil || len(key) != 33 || key[0] != 4 {
		return nil, fmt.Errorf("%q is not a witness key", text)
	}
	sum := sha256.Sum256(append([]byte(name+"\n"), key...))
	if text != fmt.Sprintf("%s+%x+%s", name, sum[:4], key64) {
		return nil, fmt.Errorf("%q has another key id", text)
	}
	return &witness{name, binary.BigEndian.Uint32(sum[:4]), key[1:]}, nil
}

func (w *witness) Name() string    { return w.name }
func (w *witness) KeyHash() uint32 { return w.id }
func (w *witness) Verify(text, signature []byte) bool {
	if len(signature) != 72 {
		return false
	}
	var message bytes.Buffer
	fmt.Fprintf(&message, "cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(signature), text)
	return ed25519.Verify(w.key, message.Bytes(), signature[8:])
}
