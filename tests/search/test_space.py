import pytest

from unbraid.recipes import resolve_recipe
from unbraid.search.score import default_score, read_score
from unbraid.search.space import Range, check_space, list_spaces, read_space
from unbraid.search.study import values_of

RECIPES = {"dbse": "sprites/dbse", "dbse-series": "etth1/dbse"}


def space_of(tmp_path, text):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return read_space(path)


@pytest.mark.parametrize("name", list_spaces())
def test_shipped_spaces_are_of_settings_that_recipes_have(name):
    check_space(read_space(name), lambda values: resolve_recipe(RECIPES[name], values))


def test_the_papers_ranges():
    space = read_space("dbse")
    assert space["training.learning_rate"].choices == (0.001, 0.0015, 0.002, 0.003)
    assert space["training.weights.kl_static"] == Range(low=0.0, high=1.0)
    assert space["model.static_size model.dynamic_size"].choices == (64, 110, 256)
    assert read_space("dbse-series")["model.static_size model.dynamic_size"].choices == (8, 16, 32)


class Middle:
    """Suggests the last choice and the middle of a range."""

    def suggest_categorical(self, name, choices):
        return choices[-1]

    def suggest_int(self, name, low, high, step, log):
        return (low + high) // 2

    def suggest_float(self, name, low, high, step, log):
        return (low + high) / 2 + 1e-9


def test_values_are_settings(tmp_path):
    space = space_of(
        tmp_path,
        "model.static_size   model.dynamic_size: [8, 16]\nmodel.width: {low: 2, high: 6, step: 2}\n"
        "training.learning_rate: {low: 0.001, high: 0.002, log: true}\n",
    )
    assert values_of(Middle(), space) == {
        "model.static_size": 16,
        "model.dynamic_size": 16,
        "model.width": 4,
        "training.learning_rate": 0.0015,
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 3", "neither a list of values nor"),
        ("a: [3]", "at least two"),
        ("a: {low: 1}", "must be numbers"),
        ("a: {low: 2, high: 1}", "low below high"),
        ("a: {low: 0, high: 1, log: true}", "low above 0"),
        ("a: {low: 0, high: 1, stepp: 1}", "did you mean 'step'"),
        ("[1, 2]", "mapping of settings"),
        ("a: [", "is not YAML"),
    ],
)
def test_other_files_are_refused(tmp_path, text, said):
    with pytest.raises(ValueError, match=said):
        space_of(tmp_path, text)


def test_settings_that_do_not_exist_are_refused(tmp_path):
    space = space_of(tmp_path, "training.learning_rat: [1, 2]")
    with pytest.raises(ValueError, match=r"training\.learning_rate"):
        check_space(space, lambda values: resolve_recipe("sprites/dbse", values))
    with pytest.raises(FileNotFoundError, match="did you mean 'dbse'"):
        read_space("dbs")


def test_scores_are_of_validation():
    accuracy = read_score("accuracy")
    assert (accuracy.protocol, accuracy.sign, accuracy.term) == ("generation", 1, None)
    assert accuracy.of({"generation": {"accuracy": {"mean": 0.5}}}) == 0.5
    error = read_score("-terms/reconstruction")
    assert (error.protocol, error.sign, error.term) == (None, -1, "reconstruction")
    assert error.show(-2.0) == "terms/reconstruction 2"
    assert default_score("sprites") == "accuracy"
    for text, said in (("test/accuracy", "test split"), ("acuracy", "accuracy"), ("", "no score")):
        with pytest.raises(ValueError, match=said):
            read_score(text)
    with pytest.raises(ValueError, match="no generation/accuracy"):
        accuracy.of({})
    with pytest.raises(ValueError, match="name what is maximised"):
        default_score("etth1")
