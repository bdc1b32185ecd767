"""Running a report's notebook: percent text in, executed cells out, in a kernel of this interpreter."""

from __future__ import annotations

import ast
import logging
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lab.core.errors import ConfigError, MnemoError

__all__ = ["ReportError", "run_notebook"]

_PARAMETERS: Final = "parameters"
_TIMEOUT_SECONDS: Final = 300
# Run by the kernel before the first cell. plotly's own renderers import nbformat, which takes a second.
_STARTUP: Final = """
def _show(figure):
    import json

    from IPython.display import display

    display({"application/vnd.plotly.v1+json": json.loads(figure.to_json())}, raw=True)


_formatter = get_ipython().display_formatter.ipython_display_formatter
_formatter.for_type_by_name("plotly.basedatatypes", "BaseFigure", _show)
del _show, _formatter
"""


class ReportError(MnemoError):
    """A report's notebook failed; nothing was published."""


def run_notebook(notebook: Path, parameters: Mapping[str, Any]) -> list[Any]:
    """Execute a notebook and return its cells.

    The kernel is this interpreter, whatever kernels the user has installed; settings and history of IPython
    and Jupyter in the user's home are neither read nor written. Figures arrive as data, not as pages.

    Parameters
    ----------
    notebook : Path
        Percent format (``.py``), or ``.ipynb``. A copy runs in a folder of its own; the working directory is
        the notebook's own folder.
    parameters : mapping
        Strings, numbers, bools, lists and dicts, by the names that the notebook's cell tagged ``parameters``
        assigns. papermill only warns of others.

    Raises
    ------
    ConfigError
        If the notebook cannot be read, or has no such parameter.
    ReportError
        If a cell raises, or the kernel dies.
    """
    content = _read(notebook)
    known = _names(content, notebook)
    unknown = [name for name in parameters if name not in known]
    if unknown:
        raise ConfigError(
            f"{notebook.name} has no parameter {unknown[0]!r}; its cell tagged {_PARAMETERS!r} has: "
            f"{', '.join(known)}"
        )
    with tempfile.TemporaryDirectory(prefix="mnemo-report-") as folder:
        return _execute(content, parameters, notebook, Path(folder))


def _read(notebook: Path) -> Any:
    import jupytext

    try:
        text = notebook.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"notebook {notebook} cannot be read: {error}") from None
    try:
        return jupytext.reads(text, fmt="ipynb" if notebook.suffix == ".ipynb" else "py:percent")
    except Exception as error:  # whatever its parsers raise on foreign text
        raise ConfigError(f"{notebook} is not a notebook in percent format: {error}") from None


def _names(content: Any, notebook: Path) -> tuple[str, ...]:
    for cell in content.cells:
        if _PARAMETERS in cell.metadata.get("tags", ()):
            try:
                body = ast.parse(cell.source).body
            except SyntaxError as error:
                raise ConfigError(f"{notebook}: the cell tagged {_PARAMETERS!r}: {error}") from None
            targets = [target for line in body for target in _targets(line)]
            return tuple(target.id for target in targets if isinstance(target, ast.Name))
    raise ConfigError(f"{notebook} has no cell tagged {_PARAMETERS!r}: '# %% tags=[\"{_PARAMETERS}\"]'")


def _targets(line: ast.stmt) -> list[ast.expr]:
    if isinstance(line, ast.Assign):
        return line.targets
    return [line.target] if isinstance(line, ast.AnnAssign) else []


def _execute(content: Any, parameters: Mapping[str, Any], notebook: Path, folder: Path) -> list[Any]:
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    for name in ("papermill", "traitlets"):
        logging.getLogger(name).setLevel(logging.ERROR)
    content.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    source, target = folder / "report.ipynb", folder / "executed.ipynb"
    source.write_text(nbformat.writes(content), encoding="utf-8")  # type: ignore[no-untyped-call]
    startup = folder / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "figures.py").write_text(_STARTUP, encoding="utf-8")
    try:
        executed = papermill.execute_notebook(
            source,
            target,
            parameters=dict(parameters),
            kernel_name="python3",
            progress_bar=False,
            log_output=False,
            cwd=notebook.resolve().parent,
            execution_timeout=_TIMEOUT_SECONDS,
            kernel_manager_class=_manager(folder),
        )
    except PapermillExecutionError as error:
        raise ReportError(
            f"{notebook.name}, cell {error.cell_index + 1}: {error.ename}: {error.evalue}. "
            "Nothing was published"
        ) from error
    except (DeadKernelError, RuntimeError, TimeoutError) as error:
        said = _tail(folder / "kernel.log")
        raise ReportError(
            f"{notebook.name}: the kernel died: {error}. {said}Nothing was published"
        ) from error
    return list(executed.cells)


def _manager(folder: Path) -> Any:
    """Return a kernel manager class for this interpreter whose files all lie in `folder`."""
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    command = [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = KernelSpec(argv=command, display_name="Python 3", language="python")
    environment = {
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_CONFIG_DIR": str(folder / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "PLOTLY_RENDERER": "plotly_mimetype",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }

    class Manager(AsyncKernelManager):
        def __init__(self, **options: Any) -> None:
            super().__init__(**{**options, "connection_file": str(folder / "kernel.json")})
            self._kernel_spec = spec

        async def _async_start_kernel(self, **options: Any) -> None:
            with (folder / "kernel.log").open("wb") as log:
                env = {**os.environ, **environment}
                await super()._async_start_kernel(**options, env=env, stdout=log, stderr=log)

        start_kernel = _async_start_kernel

    return Manager


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return f"It said: {lines[-1][:300]}. " if lines else ""
