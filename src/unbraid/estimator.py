"""The scikit-learn estimator: static and dynamic features of series, for use in a Pipeline.

    features = SequenceDisentangler(window=24, random_state=0)
    make_pipeline(features, StandardScaler(), LogisticRegression()).fit(X, y)

X is `(N, T, F)`, NaN where a value is missing, or a list of `(T_i, F)` arrays. A 2-D X `(N, T)` is N series of one
feature, and so is a list of lists of numbers. A pandas Series or an array of objects that holds series is as a list of them.
"""

import csv
import tempfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags, check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from unbraid.data.checks import UNLIKELY, check_whole, say_unlikely_axes
from unbraid.data.formats.windows import cut_windows, default_window, scale_windows
from unbraid.data.sequences import Sequences
from unbraid.evaluation.advice import advice
from unbraid.generation import decode, encode, evaluating
from unbraid.masks import inside
from unbraid.recipes import list_recipes, read_recipe
from unbraid.registry import model_class
from unbraid.remarks import remark
from unbraid.training import TrainingConfig, fit
from unbraid.training.environment import read_environment
from unbraid.types import Codes

__all__ = ["SequenceDisentangler"]

OUTPUTS = ("both", "static", "dynamic")
FORMS = ("windows", "summary")
FEW_COLUMNS = 10  # of a data frame; series have more steps
FEWEST = 3  # series: two to train on, one for validation


class SequenceDisentangler(TransformerMixin, BaseEstimator):
    """Features of series: one static code for each, and a dynamic code for each of its windows.

    Each feature is scaled to mean 0 and standard deviation 1, learned by `fit`. A series is cut into windows of `window`
    rows, and the last one is padded. Missing values are masked: the number that stands in their place changes no code.
    Rows after the last observed value of a series are padding.

    Args:
        model: a registered model, see `unbraid.list_models()`.
        window: rows of a window; None for a twelfth of the longest series in `fit`, at least 1.
        static_size: size S of the static code, for models that have this setting.
        dynamic_size: size D of the dynamic code of a window; None for 4 up to four features, else 8.
        output: the codes that `transform` returns: "both", "static" or "dynamic".
        dynamic: the form of the dynamic codes: "windows" for the codes of all windows side by side, with NaN for windows
            after the end of a series; "summary" for their mean and standard deviation over the windows of a series,
            which has the same number of columns for series of every length.
        settings: other settings of the model; by default those of the recipe `own/<model>-series`.
        weights: weight of each term of the model; by default those of that recipe.
        steps: steps of training, rounded up to whole passes over the series.
        batch_size: series in a training step, at least 2.
        learning_rate: highest learning rate of Adam.
        validation_fraction: share of the series, at least one, for validation (see `history_`); they are not trained on.
        random_state: seed of the initial weights, the order of the batches and all noise.
        verbose: show the progress of the training.

    Attributes:
        model_: the trained `SequenceModel`.
        scaling_: mean and standard deviation of each feature.
        window_: rows of a window.
        n_steps_: rows of the longest series in `fit`.
        n_windows_: windows of it, at least 2.
        n_features_in_: number of features F of `(N, T, F)` and of lists; T of a 2-D X.
        history_: the terms of the objective during training: the rows of a run's metrics.csv.
    """

    def __init__(
        self,
        model: str = "braid",
        *,
        window: int | None = None,
        static_size: int = 32,
        dynamic_size: int | None = None,
        output: Literal["both", "static", "dynamic"] = "both",
        dynamic: Literal["windows", "summary"] = "windows",
        settings: dict[str, Any] | None = None,
        weights: dict[str, Any] | None = None,
        steps: int = 800,
        batch_size: int = 32,
        learning_rate: float = 2e-3,
        validation_fraction: float = 0.1,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.window = window
        self.static_size = static_size
        self.dynamic_size = dynamic_size
        self.output = output
        self.dynamic = dynamic
        self.settings = settings
        self.weights = weights
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: Any, y: Any = None) -> "SequenceDisentangler":  # noqa: N803 - scikit-learn's name
        """Train the model on series; y is not read.

        Raises:
            ValueError: settings or series that cannot be used, before training starts.
        """
        self._check_settings()
        series = self._read(X, reset=True)
        self.n_steps_ = max(len(rows) for rows in series)
        self.window_ = self.window or default_window(self.n_steps_)
        self.n_windows_ = max(2, -(-self.n_steps_ // self.window_))
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        order = np.random.default_rng(seed).permutation(len(series))
        held_out = min(len(series) - 2, max(1, round(self.validation_fraction * len(series))))
        windows, _ = cut_windows(series, self.window_, self.n_windows_)
        x, mask, self.scaling_ = scale_windows(windows, np.arange(len(series)))
        splits = {"validation": np.sort(order[:held_out]), "train": np.sort(order[held_out:])}
        data = Sequences(x, "series", mask=mask, splits=splits, scaling=self.scaling_)
        settings, training = self._settings(x.shape[-1], seed)
        with tempfile.TemporaryDirectory() as folder:
            run = fit(
                data,
                self.model,
                folder=Path(folder) / "run",
                settings=settings,
                training=training,
                quiet=not self.verbose,
            )
            with open(run.folder / "metrics.csv", newline="", encoding="utf-8") as file:
                self.history_ = list(csv.DictReader(file))
            steps = read_environment(run.folder)["steps"]
        self.model_ = run.model
        for sentence in advice(run.model, data, steps, seed):
            remark(sentence)
        return self

    def transform(self, X: Any) -> np.ndarray:  # noqa: N803
        """The codes of series, posterior means: `(N, columns)`, named by `get_feature_names_out`.

        Raises:
            ValueError: series whose features differ from those of `fit`, series that are too long where each window has
                its own columns, or a model without an encoder.
        """
        check_is_fitted(self)
        data = self._sequences(X, more_windows=self.output == "static" or self.dynamic == "summary")
        codes = encode(self.model_, data)
        static, dynamic = codes.static.double().numpy(), codes.dynamic.double().numpy()
        dynamic = np.where(inside(np.asarray(data.mask))[:, :, None], dynamic, np.nan)
        if self.dynamic == "summary":
            dynamic = np.concatenate([np.nanmean(dynamic, 1), np.nanstd(dynamic, 1)], 1)
        parts = {"static": static, "dynamic": dynamic.reshape(len(dynamic), -1)}
        return np.concatenate([parts[name] for name in self._parts()], 1)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """`static_0`, ...; `dynamic_<window>_0`, ..., or `dynamic_mean_0`, ..., `dynamic_std_0`, ...; in order.

        Args:
            input_features: not read; scikit-learn passes it.
        """
        check_is_fitted(self)
        places = ["mean", "std"] if self.dynamic == "summary" else range(self.n_windows_)
        names = {
            "static": [f"static_{k}" for k in range(self.model_.static_size)],
            "dynamic": [f"dynamic_{place}_{k}" for place in places for k in range(self.model_.dynamic_size)],
        }
        return np.array([name for part in self._parts() for name in names[part]], dtype=object)

    def inverse_transform(self, X: Any) -> np.ndarray:  # noqa: N803
        """Series from the codes that `transform` gives, in the units of `fit`.

        Args:
            X: codes of `transform` with `output="both"` and `dynamic="windows"`.

        Returns:
            `(N, n_steps_, F)`, or `(N, n_steps_)` where `fit` was given a 2-D array; NaN after a series' end.

        Raises:
            ValueError: another `output` or `dynamic`, another number of columns, or a model without a decoder.
        """
        check_is_fitted(self)
        if self.output != "both" or self.dynamic != "windows":
            raise ValueError(
                f"output: {self.output!r} with dynamic={self.dynamic!r} leaves out codes that a series needs; "
                "use output='both' and dynamic='windows'"
            )
        size = self.model_.static_size
        codes = check_array(X, dtype=np.float32, ensure_all_finite="allow-nan")
        columns = size + self.n_windows_ * self.model_.dynamic_size
        if codes.shape[1] != columns:
            raise ValueError(f"X: has {codes.shape[1]} columns; transform gives {columns}")
        dynamic = codes[:, size:].reshape(len(codes), self.n_windows_, -1)
        steps = ~np.isnan(dynamic).any(2)
        both = Codes(torch.from_numpy(codes[:, :size]), torch.from_numpy(np.nan_to_num(dynamic)))
        windows = decode(self.model_, both, steps=torch.from_numpy(steps)).numpy()
        return self._series(np.where(steps[:, :, None, None], windows, np.nan))

    def sample(self, n_samples: int = 1) -> np.ndarray:
        """Draw series from the prior, in the units of `fit`: `(n_samples, n_steps_, F)`, or 2-D as in `fit`.

        Args:
            n_samples: number of series.

        Raises:
            ValueError: the model has no prior or no decoder, or `n_samples` is below 1.
        """
        check_is_fitted(self)
        check_whole("n_samples", n_samples, 1)
        with evaluating(self.model_):
            windows = self.model_.sample(n_samples, self.n_windows_, self._generator())
        return self._series(windows.numpy())

    def score(self, X: Any, y: Any = None) -> float:  # noqa: N803
        """The evidence lower bound per observed value, in nats, of scaled values: higher is better.

        Raises:
            ValueError: as `transform`, or a model without a likelihood.
        """
        check_is_fitted(self)
        data = self._sequences(X, more_windows=True)
        with evaluating(self.model_):
            bound = self.model_.elbo(data.batch(slice(None)), self._generator()).sum().item()
        return bound / np.count_nonzero(data.mask)  # type: ignore[arg-type]

    def _parts(self) -> list[str]:
        return ["static", "dynamic"] if self.output == "both" else [self.output]

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(int(check_random_state(self.random_state).randint(2**31 - 1)))

    def _check_settings(self) -> None:
        model_class(self.model)  # refuses unknown names
        for name, value, choices in (("output", self.output, OUTPUTS), ("dynamic", self.dynamic, FORMS)):
            if value not in choices:
                raise ValueError(f"{name}: is {value!r}; give {' or '.join(map(repr, choices))}")
        if self.window is not None and self.window < 1:
            raise ValueError(f"window: {self.window} must be at least 1, or None")
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(f"validation_fraction: {self.validation_fraction} must be in [0, 1)")

    def _settings(self, features: int, seed: int) -> tuple[dict[str, Any], TrainingConfig]:
        """Settings of the model and of its training: those of its recipe for series, changed as asked."""
        name = f"own/{self.model}-series"
        recipe = read_recipe(name) if name in list_recipes() else None
        settings = {key: value for key, value in recipe.model.items() if key != "name"} if recipe else {}
        sizes = {
            "static_size": self.static_size,
            "dynamic_size": self.dynamic_size or (4 if features <= 4 else 8),
        }
        names = model_class(self.model).setting_names()
        settings |= {key: size for key, size in sizes.items() if key in names}
        training = dict(recipe.training) if recipe else {}
        training |= {
            "steps": self.steps,
            "warmup_steps": min(training.get("warmup_steps", 0), self.steps // 4),
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "seed": seed,
        }
        if self.weights is not None:
            training["weights"] = self.weights
        settings |= self.settings or {}
        plain = {
            name: value.item() if isinstance(value, np.generic) else value for name, value in settings.items()
        }
        return plain, TrainingConfig(**training)

    def _sequences(self, X: Any, more_windows: bool) -> Sequences:  # noqa: N803
        """Series cut into windows, scaled and masked as in `fit`."""
        series = self._read(X, reset=False)
        windows, lengths = cut_windows(series, self.window_, None)
        if lengths.max() > self.n_windows_ and not more_windows:
            row = int(lengths.argmax())
            raise ValueError(
                f"X: series {row} has {len(series[row])} rows; the longest in fit had {self.n_steps_}, and each "
                "window has its own columns; use dynamic='summary'"
            )
        steps = max(self.n_windows_, int(lengths.max()))
        windows, _ = cut_windows(series, self.window_, steps)
        x, mask, _ = scale_windows(windows, np.arange(0), self.scaling_)
        return Sequences(x, "series", mask=mask)

    def _series(self, windows: np.ndarray) -> np.ndarray:
        """Windows put together as series, in the units of `fit`."""
        rows = self.scaling_.invert(windows).reshape(len(windows), -1, windows.shape[-1])
        series = rows[:, : self.n_steps_].astype(np.float64)
        return series[:, :, 0] if self._flat else series

    def _check_columns(self, columns: list[Any], reset: bool) -> None:
        """Refuse data frames whose columns are not those of the others, or of `fit`, in their order."""
        if reset:
            self._columns = next((list(names) for names in columns if names is not None), None)
        for number, names in enumerate(columns):
            if names is not None and self._columns is not None and list(names) != self._columns:
                raise ValueError(
                    f"X[{number}]: has the columns {list(names)}; in fit they were {self._columns}, in this order"
                )

    def _read(self, X: Any, reset: bool) -> list[np.ndarray]:  # noqa: N803
        """The series of X, each `(T, F)` and cut after its last observed value."""
        fewest = FEWEST if reset else 1
        rules: dict[str, Any] = {"dtype": np.float64, "ensure_all_finite": "allow-nan"}
        if _holds_series(X):
            X = list(X)  # noqa: N806
        if isinstance(X, list | tuple) and any(np.ndim(rows) == 2 for rows in X):
            if len(X) < fewest:
                raise ValueError(f"X: {len(X)} series are too few; {fewest} are needed")
            self._check_columns([getattr(rows, "columns", None) for rows in X], reset)
            series = [_read_one(rows, f"X[{i}]", rules) for i, rows in enumerate(X)]
            flat = False
        elif getattr(X, "ndim", 2) == 3:
            values = check_array(X, allow_nd=True, ensure_min_samples=fewest, **rules)
            if reset:
                say_unlikely_axes(values)
            series = list(values)
            flat = False
        elif isinstance(X, list | tuple) and len({np.shape(rows) for rows in X}) > 1:
            raise ValueError(
                "X: series of one feature and of different lengths; give each as an array (T, 1)"
            )
        else:
            if reset:
                _say_unlikely_frame(X)
            values = validate_data(self, X, reset=reset, ensure_min_samples=fewest, **rules)
            series, flat = list(values[:, :, None]), True
        if reset:
            self._flat = flat
        elif flat != self._flat:
            forms = "3-D or a list", "2-D"
            raise ValueError(f"X: is {forms[flat]}; in fit it was {forms[self._flat]}")
        if not flat:
            self._check_features([rows.shape[1] for rows in series], reset)
        observed = [np.flatnonzero(~np.isnan(rows).all(1)) for rows in series]
        for i, places in enumerate(observed):
            if not len(places):
                raise ValueError(f"X: series {i} has no observed value; leave it out")
        return [rows[: places[-1] + 1] for rows, places in zip(series, observed, strict=True)]

    def _check_features(self, counts: list[int], reset: bool) -> None:
        if reset:
            self.n_features_in_ = counts[0]
        expected: int = self.n_features_in_
        for i, count in enumerate(counts):
            if count != expected:
                raise ValueError(
                    f"X: series {i} has {count} features, but {type(self).__name__} is expecting {expected} "
                    "features as input"
                )


def _holds_series(X: Any) -> bool:  # noqa: N803
    """Whether X is a 1-D array or a pandas Series whose items are series."""
    return getattr(X, "ndim", 0) == 1 and X.dtype == object and any(np.ndim(rows) for rows in X)


def _say_unlikely_frame(X: Any) -> None:  # noqa: N803
    """Say how a data frame is read, where its few named columns are more likely features than steps."""
    names = list(getattr(X, "columns", []))
    few = 0 < len(names) <= FEW_COLUMNS and UNLIKELY * len(names) < len(X)
    if few and all(isinstance(name, str) for name in names):
        remark(
            f"X: is read as {len(X)} series of one feature, with the steps {', '.join(names)}; if these are features, give a list "
            "of data frames, one for each series"
        )


def _read_one(rows: Any, name: str, rules: dict[str, Any]) -> np.ndarray:
    """One series as numbers; what cannot be read as numbers is named."""
    try:
        return check_array(rows, input_name=name, **rules)
    except (ValueError, TypeError) as error:
        raise ValueError(
            str(error) if name in str(error) else f"{name}: {error}; give columns of numbers"
        ) from error
