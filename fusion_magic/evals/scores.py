"""What an evaluation measured: a row for each configuration and task, and the verdicts behind it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError
from ..examine.columns import Columns, Row, pandas, table
from ..examine.report import Report as Page
from ..examine.report import Shown

if TYPE_CHECKING:
    from pandas import DataFrame  # pyright: ignore[reportMissingTypeStubs]

AXIS = "axis:"  # begins the columns of a rubric's sections
SCORES: Columns = {
    "config": ("text", "name of what was evaluated"),
    "task": ("text", "the task's id"),
    "domain": ("text", "the task's field; missing if it has none"),
    "score": ("number", "0 to 100, mean over passes; missing if the task failed or was not graded"),
    "raw": ("number", "sum of weights, mean over passes"),
    "pass_rate": ("number", "criteria that hold, in percent, without weights"),
    "negative_penalty": ("number", "points of the score that negative criteria took away"),
    "sd_passes": ("number", "standard deviation of the score between passes; missing with one pass"),
    "flip_rate": ("number", "share of criteria, 0 to 1, whose verdict differs between passes; missing with one pass"),
    "passes": ("count?", "how often it was graded"),
    "coverage": ("number", "share of verdicts that exist, 0 to 1"),
    "grader": ("text", "the model that graded"),
    "grader_settings": ("text", "its settings"),
    "protocol": ("text", "how it was asked: official, response_first, reference, exact, …"),
    "cost": ("number", "US dollars of the answer; missing if not known"),
    "grading_cost": ("number", "US dollars of the grading; missing if not known"),
    "tokens": ("count?", "tokens of the answer, read and written; missing if not known"),
    "seconds": ("number", "how long the answer took; missing if not known"),
    "status": ("text", "ok, failed (no answer) or ungraded (an answer without a score)"),
    "error": ("text", "why there is no score, or which seats failed; missing where nothing is to be said"),
    "run": ("text", "the run's id"),
}
VERDICTS: Columns = {
    "config": ("text", "name of what was evaluated"),
    "task": ("text", "the task's id"),
    "domain": ("text", "the task's field"),
    "criterion": ("text", "the criterion's id"),
    "section": ("text", "title of its section"),
    "weight": ("number", "its weight; below 0 it is met by what an answer should not do"),
    "passno": ("count", "which pass, counted from 1"),
    "met": ("flag?", "whether it is met; missing where the grader gave no verdict"),
    "explanation": ("text", "what the grader said"),
    "grader": ("text", "the model that graded"),
    "protocol": ("text", "how it was asked"),
    "cost": ("number", "US dollars; missing if not known"),
}
GRADING = ("grader", "grader_settings", "protocol", "passes")  # what scores must share to be compared
CHECKED = ("exact", "numeric")  # protocols that compare with a target


class MixedGraders(UserWarning):
    """Scores of several graders, protocols or numbers of passes stand side by side; they are not on one scale."""


@dataclass(frozen=True, repr=False)
class Scores(Shown):
    """What an evaluation measured; it shows itself as a `Report` without a baseline. `first + second` joins two.

    Attributes:
        frame: one row for each configuration and task; see `SCORES` for its columns. A section's score (0 to 100) is in
            the column "axis:" and its title.
        verdicts: one row for each criterion and pass, see `VERDICTS`; empty where only scores are known.
    """

    frame: DataFrame
    verdicts: DataFrame

    def __post_init__(self) -> None:
        _refuse_twice(self.frame)

    @classmethod
    def of(cls, rows: Iterable[Row], verdicts: Iterable[Row] = ()) -> Scores:
        """Scores from rows with any of the columns of `SCORES` and "axis:…"; what a row leaves out is missing.

        Raises:
            SettingsError: a configuration has a task twice, or pandas is not installed.
        """
        listed = list(rows)
        axes = dict.fromkeys(name for row in listed for name in row if name.startswith(AXIS))
        known: Columns = {**SCORES, **dict.fromkeys(axes, ("number", "score of a section"))}
        return cls(table(known, _filled(known, listed)), table(VERDICTS, _filled(VERDICTS, verdicts)))

    def __add__(self, other: Scores) -> Scores:
        """Both together. Warns with `MixedGraders` if they were not graded alike.

        Raises:
            SettingsError: both have a configuration with the same task.
        """
        pd = pandas()
        joined = Scores(
            pd.concat([self.frame, other.frame], ignore_index=True),
            pd.concat([self.verdicts, other.verdicts], ignore_index=True),
        )
        joined.warn_if_mixed()
        return joined

    @property
    def configs(self) -> tuple[str, ...]:
        """Names of what was evaluated, in the order of the frame."""
        return tuple(dict.fromkeys(self._frame["config"]))

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks' ids, in the order of the frame."""
        return tuple(dict.fromkeys(self._frame["task"]))

    @property
    def axes(self) -> tuple[str, ...]:
        """Titles of the rubric's sections."""
        return tuple(name.removeprefix(AXIS) for name in self._frame.columns if name.startswith(AXIS))

    def rows(self, config: str) -> Any:
        """The rows of one configuration.

        Raises:
            SettingsError: there is none of that name.
        """
        if config not in self.configs:
            raise SettingsError(f"There are no scores of {config!r}; there are scores of {', '.join(self.configs)}.")
        return self._frame[self._frame["config"] == config]

    def only(self, *configs: str) -> Scores:
        """The scores of these configurations, in this order.

        Raises:
            SettingsError: there is none of that name.
        """
        verdicts: Any = self.verdicts
        return Scores(
            pandas().concat([self.rows(config) for config in configs], ignore_index=True),
            verdicts[verdicts["config"].isin(configs)],
        )

    def by_task(self, config: str, column: str = "score") -> dict[str, float]:
        """A configuration's known scores, or another column's numbers, by task."""
        rows = self.rows(config)
        known = rows[rows[column].notna()]
        return dict(zip(known["task"], known[column].astype(float), strict=True))

    def groups(self, column: str = "domain") -> dict[str, str]:
        """What a column says of each task; a task without it is a group of its own."""
        rows = self._frame.drop_duplicates("task")
        values = rows[column].where(rows[column].notna() & (rows[column] != ""), rows["task"])
        return dict(zip(rows["task"], values, strict=True))

    def mixed(self) -> str | None:
        """What differs in how the scores were made, as a sentence; None if nothing does.

        Tasks with a known target need no grader: they may stand beside tasks that have one.
        """
        scored = self._frame[self._frame["score"].notna()]
        graded = scored[~scored["protocol"].isin(CHECKED)]
        found = (_told(name, graded[name]) or _told_by_task(name, scored) for name in GRADING)
        differing = [told for told in found if told]
        return f"Scores are not on one scale: {'; '.join(differing)}." if differing else None

    def warn_if_mixed(self, stacklevel: int = 3) -> str | None:
        """Warn with `MixedGraders` about what `mixed` says, and return it."""
        told = self.mixed()
        if told:
            warnings.warn(told, MixedGraders, stacklevel=stacklevel)
        return told

    def __repr__(self) -> str:
        return f"<Scores: {len(self.configs)} configurations, {len(self.tasks)} tasks, {len(self.verdicts):,} verdicts>"

    @property
    def report(self) -> Page:
        """What is shown: the tables of a `Report` without a baseline."""
        from .report import Report

        return Report(self).report

    @property
    def _frame(self) -> Any:
        return self.frame  # pandas has no types of its own


def read_scores(
    source: str | Path | DataFrame,
    *,
    config: str | Sequence[str] = "config",
    task: str = "task_id",
    score: str = "score",
    domain: str | None = "domain",
    grader: str | None = None,
    protocol: str | None = None,
    passes: int | None = None,
) -> Scores:
    """Scores that somebody recorded, one row for each configuration and task.

    A task that was tried again counts with the score that it got; one that never got a score is kept as ungraded. It is
    not a 0.

    Args:
        source: a CSV file, or a frame.
        config: the column with the configuration's name, or columns whose values are joined by " · ".
        task, score, domain: names of the other columns; scores are 0 to 100. Without a domain: None.
        grader, protocol, passes: how all of them were graded, if it is known.

    Raises:
        SettingsError: no such file or column, a score that is no number, or two scores of a configuration for one task.
    """
    pd = pandas()
    try:
        frame = pd.read_csv(source) if isinstance(source, str | Path) else source
    except (OSError, ValueError) as exc:
        raise SettingsError(f"No scores can be read from {source}: {exc}") from exc
    names = [config] if isinstance(config, str) else list(config)
    wanted = [*names, task, score, *([domain] if domain else [])]
    lacking = [name for name in wanted if name not in frame.columns]
    if lacking:
        raise SettingsError(
            f"The scores have no column {lacking[0]!r}; they have {', '.join(map(str, frame.columns))}."
        )
    rows = list(_recorded(frame, names, task, score, domain))
    scored = {(row["config"], row["task"]) for row in rows if row["score"] is not None}
    graded: Row = {"status": "ok", "grader": grader, "protocol": protocol, "passes": passes}
    ungraded = {
        (row["config"], row["task"]): {**row, "status": "ungraded", "error": "no score is recorded"}
        for row in rows
        if (row["config"], row["task"]) not in scored
    }
    return Scores.of([*({**row, **graded} for row in rows if row["score"] is not None), *ungraded.values()])


def _recorded(frame: Any, config: list[str], task: str, score: str, domain: str | None) -> Iterator[dict[str, Any]]:
    for row in frame.to_dict("records"):
        yield {
            "config": " · ".join(str(row[name]) for name in config),
            "task": str(row[task]),
            "domain": row[domain] if domain and isinstance(row[domain], str) else None,
            "score": _number(row[score]),
        }


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError) as exc:
        raise SettingsError(f"{value!r} is no score; a score is a number from 0 to 100, or nothing.") from exc
    return None if isnan(number) else number


def _filled(columns: Columns, rows: Iterable[Row]) -> Iterator[Row]:
    """Rows with all of the columns.

    Raises:
        SettingsError: a row has another one.
    """
    for row in rows:
        if unknown := row.keys() - columns.keys():
            raise SettingsError(f"Scores have no column {min(unknown)!r}; they have {', '.join(columns)}.")
        yield {**dict.fromkeys(columns), **row}


def _refuse_twice(frame: Any) -> None:
    twice = frame[frame.duplicated(["config", "task"])]
    if len(twice):
        config, task = twice.iloc[0][["config", "task"]]
        raise SettingsError(
            f'{config} has task {task} twice. Give two runs of it two names, e.g. by `config=["run", "config"]`.'
        )


def _told(name: str, values: Any) -> str | None:
    """What differs in a column, such as "grader a and b"; None if nothing does."""
    different = [str(each) for each in values.astype(object).where(values.notna(), "not known").unique()]
    return f"{name.replace('_', ' ')} {', '.join(different[:-1])} and {different[-1]}" if len(different) > 1 else None


def _told_by_task(name: str, scored: Any) -> str | None:
    """What differs in a column between rows of one task, of the first such task."""
    found = (_told(name, rows[name]) for _, rows in scored.groupby("task", sort=False))
    return next(filter(None, found), None)
