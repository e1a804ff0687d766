import pyarrow.parquet as pq
from conftest import stillhouse

def test_chain(tiny_teacher, labelled_file, tmp_path):
    for a in (
        ("augment", labelled_file, "--text", "text", "--label", "label", "--pos-tagger", "classes", "--copies", 3, "--out", tmp_path/"T"),
        ("label", tmp_path/"T", "--teacher", tiny_teacher, "--out", tmp_path/"L"),
        ("train", tmp_path/"T", tmp_path/"L", "--bilstm-vector-width", 8, "--dev", labelled_file, "--out", tmp_path/"S"),
        ("evaluate", tmp_path/"S", labelled_file, "--json"), ("predict", tmp_path/"S", labelled_file), ("show", tmp_path/"T"), ("show", tmp_path/"S"), ("verify", tmp_path/"L"), ("gc", tmp_path/"L"),("augment","--help"),("train","--help"),()):
        done = stillhouse(*a)
        print(done.stdout.decode()[:1500], done.stderr.decode()[-1200:])
        assert done.returncode == 0
