"""A student in a pipeline of scikit-learn: learned from labels, then distilled, then searched for.

Usage::

    python examples/sklearn_pipeline.py

Handwritten digits of which 150 have a label: a support vector machine learns these and teaches a small network on all
of them. Texts and a Hugging Face teacher go the same way: ``StudentClassifier("bilstm", teacher="./my-bert")``.
"""

from tempfile import TemporaryDirectory

import skops.io
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVC

from label import load_teacher
from stillhouse import StudentClassifier

LABELLED = 150


def main() -> None:
    """Compares students by their accuracy on the test digits."""
    digits, names = load_digits(return_X_y=True)
    names = names.astype(str)  # without labels, classes are the teacher's names of them
    train, test, gold, answers = train_test_split(digits, names, test_size=600, random_state=0, stratify=names)
    few, few_gold = train[:LABELLED], gold[:LABELLED]
    scaler = MinMaxScaler().fit(train)
    machine = SVC(C=10, gamma=0.03).fit(scaler.transform(few), few_gold)
    print(f"teacher, {LABELLED} labels       {machine.score(scaler.transform(test), answers):.3f}")

    learner = make_pipeline(scaler, StudentClassifier("mlp", epochs=60, settings={"width": 64, "batch_size": 32}))
    print(f"student, {LABELLED} labels       {learner.fit(few, few_gold).score(test, answers):.3f}")

    with TemporaryDirectory() as folder:
        skops.io.dump(machine, f"{folder}/machine.skops")
        student = StudentClassifier(
            "mlp",
            teacher=load_teacher(f"sklearn:{folder}/machine.skops", {"output": "decision"}),
            copies=2,
            # What the teacher says is asked once, not once for each candidate.
            cache=f"{folder}/L",
            epochs=40,
            settings={"width": 64, "batch_size": 64},
        )
        steps = Pipeline([("scale", scaler), ("student", student)])
        steps.fit(train)  # a teacher needs no labels
        print(f"student, distilled        {steps.score(test, answers):.3f}")

        grid = {
            "student__epochs": [8, 40],
            "student__settings": [{"width": width, "batch_size": 64} for width in (8, 64)],
        }
        search = GridSearchCV(steps, grid, cv=2).fit(train, gold)
        results = zip(search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True)
        for params, score in results:
            print(f"  {params['student__epochs']:>2} epochs, {params['student__settings']}  {score:.3f}")
        print(f"best of the search        {search.score(test, answers):.3f}")
        print("first digit: " + " ".join(f"{share:.2f}" for share in search.predict_proba(test[:1])[0]))


if __name__ == "__main__":
    main()
