"""``stillhouse export``: a student as one ONNX file."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("student")
@click.option("--onnx", required=True, type=click.Path(), help="File to write, whole or not at all.")
@click.option("--force", is_flag=True, help="Replace the file.")
def command(student: str, onnx: str, force: bool) -> None:
    """Write STUDENT, with all it needs, into one ONNX file, and compare it with torch first.

    `stillhouse predict` takes the file in place of a directory, and needs neither torch nor the directory for it.

    \b
    Example:
      stillhouse export S --onnx S.onnx
    """
    from students.export import export
    from students.student import Student

    difference = export(Student.load(student), onnx, force)
    size = Path(onnx).stat().st_size
    click.echo(f"{onnx}: {size / 1e6:.1f} MB, differs from torch by at most {difference:.1g}")
