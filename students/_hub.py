"""Students on the Hugging Face Hub."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from transferset import StillhouseError

from ._config import FILES


class OnHub:
    """Gives a student the methods that models of the Hub have, with the names and arguments of ``ModelHubMixin``.

    That class itself would write a ``config.json`` of its own making, and copies every dataclass it is given.
    """

    metrics: Mapping[str, Any]

    def save(self, folder: Path, metrics: Mapping[str, Any]) -> None:
        """Writes the student into a directory."""
        raise NotImplementedError

    @classmethod
    def load(cls, folder: Path | str) -> Any:
        """The student in a directory."""
        raise NotImplementedError

    def save_pretrained(self, save_directory: Path | str) -> None:
        """Writes the student into a directory, which may hold another one."""
        self.save(Path(save_directory), self.metrics)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str = "Upload student",
        private: bool | None = None,
        token: str | None = None,
        branch: str | None = None,
        create_pr: bool | None = None,
    ) -> str:
        """Publishes the student with its model card in one commit; the address of the commit.

        Args:
            repo_id: ``name/repository``; is made where it is not there.
            commit_message: what the commit is called.
            private: whether a new repository is private.
            token: who publishes.  By default who is logged in.
            branch: the branch; by default ``main``.
            create_pr: whether to ask for the change in place of making it.
        """
        from huggingface_hub import HfApi

        api = HfApi(token=token)
        name = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            return api.upload_folder(
                repo_id=name,
                folder_path=folder,
                commit_message=commit_message,
                revision=branch,
                create_pr=create_pr,
            )

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: Path | str,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: Path | str | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
    ) -> Self:
        """The student in a directory or in a repository of the Hub.

        Raises:
            StillhouseError: there is none, or the Hub cannot be reached.
        """
        name = str(pretrained_model_name_or_path)
        if Path(name).is_dir():
            return cls._loaded(name)
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError

        try:
            folder = snapshot_download(
                name,
                revision=revision,
                token=token,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
                allow_patterns=list(FILES),
            )
        except (OSError, ValueError, HfHubHTTPError) as error:
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise StillhouseError(
                f"{name}: must be a student's directory or a repository of the Hugging Face Hub, got: {reason}"
            ) from None
        return cls._loaded(folder)

    @classmethod
    def _loaded(cls, folder: str) -> Self:
        student: Self = cls.load(folder)
        return student
