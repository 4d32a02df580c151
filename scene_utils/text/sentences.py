"""Sentences made from results, by language; the interval picks the form, no number is typed by hand.

Every sentence about a difference has three forms: higher, lower, not to be told apart. Names, counts and
figures are put into the templates of ``SENTENCES``, which have the same keys and places in every language.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from scene_utils.ensembles import EnsembleAnalysis
from scene_utils.results import Run, same_processor
from scene_utils.support import report_facts
from scene_utils.support.intervals import Comparison, SeedComparison, compare_seeds, verdict, wilson_interval
from scene_utils.support.settings import SceneError, escaped

LANGUAGES = ("en", "ko")

SENTENCES = {
    "en": {
        "accuracy": "{name}: {correct} of {total} test images right, overall accuracy {accuracy} (95 %"
        " interval {low} to {high}).",
        "difference": "Against {first}, {second} fixes {fixes}, breaks {breaks} of {total} images:"
        " {points} points (95 % interval {low} to {high}){form}",
        "difference.higher": "; {second} is more accurate.",
        "difference.lower": "; {second} is less accurate.",
        "difference.same": "; the two are not to be told apart.",
        "report.higher": "{name} has {images} more images right than the report ({reported}), whose figure"
        " lies below our interval: higher.",
        "report.lower": "{name} has {images} fewer images right than the report ({reported}), whose figure"
        " lies above our interval: lower.",
        "report.same": "{name} and the report ({reported}) differ by {images} images; our interval"
        " contains the report's figure: not to be told apart.",
        "target.higher": "The goal of {target} is reached: {name} has {accuracy}, and the whole interval"
        " ({low} to {high}) lies above it.",
        "target.lower": "The goal of {target} is not reached: {name} has {accuracy}, and the whole"
        " interval ({low} to {high}) lies below it.",
        "target.same": "{name} has {accuracy}; the goal of {target} lies inside the interval ({low} to"
        " {high}), so these images cannot tell whether it is reached.",
        "seeds": "Over {seeds} seeds {first} has {first_mean} ± {first_spread} % and {second}"
        " {second_mean} ± {second_spread} %: {points} points (95 % interval {low} to {high}){form}",
        "calibration": "The mean gap between confidence and accuracy is {first_error} points in {first}"
        " and {second_error} in {second}: {points} points (95 % interval {low} to {high}){form}",
        "calibration.higher": "; {second} is calibrated worse.",
        "calibration.lower": "; {second} is calibrated better.",
        "calibration.same": "; the two are not to be told apart.",
        "ensemble": "The members disagree on {disagree} of {total} images. Against {best} alone the vote"
        " rescues {rescued} and loses {lost}; {none_right} images no member gets.",
        "grown": "{second} was grown from {first} and started as the same function. After training the two"
        " answer {images} of {total} test images differently ({share}); of these {second} has {second_right}"
        " right, {first} {first_right}.",
        "schedules": "Over {seeds} seeds the schedule {best} has the highest mean accuracy on the hold-out,"
        " {best_mean} ± {best_spread} %, and {worst} the lowest, {worst_mean} ± {worst_spread} %.",
        "schedules.apart": "Told apart from {best}: {apart}; not told apart: {same}.",
        "schedules.choice": "My criterion: same model, images and epochs, several seeds, judged on the hold-out;"
        " of the schedules that are not to be told apart from the best I take the one that leaves least to set,"
        " here {choice}.",
        "importance": "In {trials} trials the {first} explains {first_share} of the differences in hold-out"
        " accuracy, the {second} {second_share}, and least of all the {last}, {last_share}.",
        "order.higher": "So I start with what matters most: {order}.",
        "order.lower": "Here the other order came out ahead: importances are averages over the whole space, and"
        " say less near a good point. I would begin with them in this order, {order}, and then go round once more.",
        "order.same": "These seeds do not show that the order matters; I would still begin with the {first}, because"
        " all other settings are judged at its value.",
        "second_layer.higher": "So the second layer earns its keep here, and leaving it out costs accuracy.",
        "second_layer.lower": "So this model is right to leave it out: the second layer costs weights, and accuracy"
        " too.",
        "second_layer.same": "So this model is right to leave it out: on {total} images nothing shows that its"
        " {weights} million weights buy any accuracy.",
        "changes": "Most gained: {gained}. Most lost: {lost}.",
        "change": "{name} ({images} images)",
        "nothing": "no class",
        "confused": "Most often taken for one another: {first} and {second}, {images} images"
        " ({first_as_second} {first} taken for {second}, {second_as_first} the other way).",
        "confused.never": "No class is taken for another.",
        "claim.confirmed": "The report finds {reported} points from {first} to {second}; ours are {points}"
        " (95 % interval {low} to {high}): the claim survives.",
        "claim.contradicted": "The report finds {reported} points from {first} to {second}; ours are"
        " {points} (95 % interval {low} to {high}): the opposite.",
        "claim.open": "The report finds {reported} points from {first} to {second}; ours are {points} (95"
        " % interval {low} to {high}): not to be told apart.",
        "divergence.confirmed": "The report's loss becomes NaN from a learning rate of {reported} on;"
        " under our settings it holds: the highest rate that finishes is {finished}, the lowest that"
        " diverges {diverged}.",
        "divergence.higher": "The report's loss becomes NaN from a learning rate of {reported} on; under"
        " our settings that happens later: the highest rate that finishes is {finished}, the lowest that"
        " diverges {diverged}.",
        "divergence.lower": "The report's loss becomes NaN from a learning rate of {reported} on; under"
        " our settings that happens earlier: the lowest rate that diverges is {diverged}, the highest that"
        " finishes {finished}.",
        "divergence.never": "The report's loss becomes NaN from a learning rate of {reported} on; under"
        " our settings no run diverges up to {finished}.",
        "divergence.own": "The highest rate that finishes is {finished}, the lowest that diverges {diverged}.",
        "cost": "From {first} to {second} the weights change by {weights} million ({weights_share} %), the"
        " training time by {seconds} s ({seconds_share} %).",
        "cost.weights": "From {first} to {second} the weights change by {weights} million ({weights_share} %).",
        "depth": "After epoch {epochs} each doubling of the depth changes the accuracy by {points} points"
        " (95 % interval {low} to {high}){form}",
        "depth.higher": ": deeper is better.",
        "depth.lower": ": deeper is worse.",
        "depth.same": ": the images do not show that depth matters.",
        "patience": "From epoch {first} to epoch {last} that slope changes by {points} points (95 % interval"
        " {low} to {high}){form}",
        "patience.higher": ": the deeper nets catch up, they must train longer.",
        "patience.lower": ": the deeper nets fall back further.",
        "patience.same": ": the images do not show that longer training helps the deeper nets more.",
        "ceiling": "{name} contradicts the label of {mistakes} test images. A person who looked at {judged} of them"
        " also rejects the label in {agree}, {share} (95 % interval {low} to {high}), and finds that both answers"
        " fit in {both} more. A model without any mistake would contradict those labels too: it would reach {best} at"
        " most.",
        "ceiling.none": "{name} contradicts the label of {mistakes} test images; nobody has judged them yet.",
        "limits": "{name} stays {short} images below the report. What is known of why: its hold-out accuracy was"
        " {before} after epoch {middle} and {after} after epoch {epochs}, the last; it began with {weights}; with"
        " each image's mirror image averaged in it has {mirrored} on the test set; and a person who looked at {judged}"
        " of its {mistakes} mistakes finds the label alone right in {label}, the answer alone in {answer}, both in"
        " {both}, neither in {neither}. Tried: {tried}.",
        "tried.size": "images of {sizes} pixels",
        "tried.again": "after all choices a second training, on all {images} images",
    },
    "ko": {
        "accuracy": "{name}: 테스트 이미지 {total}장 중 {correct}장 정답, 전체 평균 정확도 {accuracy} (95"
        " % 신뢰 구간 {low} ~ {high}).",
        "difference": "{first} 대비 {second}: {total}장 중 {fixes}장을 새로 맞히고 {breaks}장을 새로 틀림,"
        " {points}%p (95 % 신뢰 구간 {low} ~ {high}){form}",
        "difference.higher": ". {second} 정확도 증가.",
        "difference.lower": ". {second} 정확도 감소.",
        "difference.same": ". 두 모델의 차이를 구분할 수 없음.",
        "report.higher": "{name}: 보고서({reported})보다 {images}장 더 정답. 보고서의 값이 신뢰 구간보다"
        " 낮음: 증가.",
        "report.lower": "{name}: 보고서({reported})보다 {images}장 덜 정답. 보고서의 값이 신뢰 구간보다"
        " 높음: 감소.",
        "report.same": "{name}: 보고서({reported})와 {images}장 차이. 보고서의 값이 신뢰 구간 안에 있음:"
        " 차이를 구분할 수 없음.",
        "target.higher": "최종 목표 {target} 달성: {name} {accuracy}, 신뢰 구간({low} ~ {high}) 전체가"
        " 목표보다 높음.",
        "target.lower": "최종 목표 {target} 미달성: {name} {accuracy}, 신뢰 구간({low} ~ {high}) 전체가"
        " 목표보다 낮음.",
        "target.same": "{name} {accuracy}: 최종 목표 {target}이 신뢰 구간({low} ~ {high}) 안에 있어 달성"
        " 여부를 구분할 수 없음.",
        "seeds": "시드 {seeds}개: {first} {first_mean} ± {first_spread} %, {second} {second_mean} ±"
        " {second_spread} %, {points}%p (95 % 신뢰 구간 {low} ~ {high}){form}",
        "calibration": "확신도와 정확도의 평균 차이: {first} {first_error}%p, {second} {second_error}%p,"
        " {points}%p (95 % 신뢰 구간 {low} ~ {high}){form}",
        "calibration.higher": ". {second} 쪽이 더 큼(보정이 더 나쁨).",
        "calibration.lower": ". {second} 쪽이 더 작음(보정이 더 좋음).",
        "calibration.same": ". 두 모델의 차이를 구분할 수 없음.",
        "ensemble": "모델들의 예측이 {total}장 중 {disagree}장에서 서로 다름. {best} 단독 대비"
        " {rescued}장을 새로 맞히고 {lost}장을 새로 틀림. 어느 모델도 맞히지 못한 이미지는 {none_right}장.",
        "grown": "{second}: {first}에서 확장되어 같은 함수로 시작. 학습 후 두 모델의 예측은 테스트 이미지"
        " {total}장 중 {images}장에서 다름 ({share}). 그중 {second} 정답 {second_right}장, {first} 정답"
        " {first_right}장.",
        "schedules": "시드 {seeds}개의 평균 hold-out 정확도: {best} Scheduler가 {best_mean} ± {best_spread} %로 가장"
        " 높고, {worst} Scheduler가 {worst_mean} ± {worst_spread} %로 가장 낮음.",
        "schedules.apart": "{best}보다 확실히 낮은 것: {apart}. 차이를 구분할 수 없는 것: {same}.",
        "schedules.choice": "기준: 같은 모델, 같은 이미지, 같은 Epoch 수로 여러 시드를 학습하고 hold-out에서 평가한다."
        " 가장 좋은 것과 차이를 구분할 수 없는 Scheduler 중에서 정할 것이 가장 적은 것을 고른다. 여기서는 {choice}.",
        "importance": "{trials}번의 학습에서 hold-out 정확도 차이의 {first_share}를 {first}, {second_share}를"
        " {second}, 가장 적은 {last_share}를 {last}(으)로 설명할 수 있음.",
        "order.higher": "따라서 가장 중요한 것부터 조정한다: {order}.",
        "order.lower": "여기서는 반대 순서가 더 좋았다. 중요도는 전체 공간의 평균이므로 좋은 점 근처에서는 덜 정확하다."
        " {order} 순서로 조정한 뒤 한 번 더 반복한다.",
        "order.same": "이 시드들로는 순서의 효과를 구분할 수 없음. 그래도 {first}부터 조정한다. 다른 값은 모두"
        " 그 값에서 평가되기 때문이다.",
        "second_layer.higher": "따라서 두 번째 layer는 제 몫을 하며, 빼면 정확도가 감소한다.",
        "second_layer.lower": "따라서 두 번째 layer를 뺀 것이 옳다: 파라미터가 늘고 정확도도 감소한다.",
        "second_layer.same": "따라서 두 번째 layer를 뺀 것이 옳다: 이미지 {total}장으로는 파라미터 {weights}백만 개가"
        " 정확도를 높인다고 볼 수 없다.",
        "changes": "가장 많이 증가: {gained}. 가장 많이 감소: {lost}.",
        "change": "{name} ({images}장)",
        "nothing": "없음",
        "confused": "가장 자주 혼동되는 클래스: {first}, {second} {images}장 ({first} → {second}"
        " {first_as_second}장, {second} → {first} {second_as_first}장).",
        "confused.never": "다른 클래스로 잘못 분류된 이미지가 없다.",
        "claim.confirmed": "보고서: {first} → {second} {reported}%p. 재현: {points}%p (95 % 신뢰 구간"
        " {low} ~ {high}). 보고서의 주장이 확인됨.",
        "claim.contradicted": "보고서: {first} → {second} {reported}%p. 재현: {points}%p (95 % 신뢰 구간"
        " {low} ~ {high}). 보고서와 반대.",
        "claim.open": "보고서: {first} → {second} {reported}%p. 재현: {points}%p (95 % 신뢰 구간 {low} ~"
        " {high}). 차이를 구분할 수 없음.",
        "divergence.confirmed": "보고서: 학습률 {reported} 이상에서 손실이 NaN. 재현에서도 같음: 끝까지"
        " 학습된 가장 높은 학습률 {finished}, 발산한 가장 낮은 학습률 {diverged}.",
        "divergence.higher": "보고서: 학습률 {reported} 이상에서 손실이 NaN. 재현에서는 더 높은 학습률에서"
        " 발산: 끝까지 학습된 가장 높은 학습률 {finished}, 발산한 가장 낮은 학습률 {diverged}.",
        "divergence.lower": "보고서: 학습률 {reported} 이상에서 손실이 NaN. 재현에서는 더 낮은 학습률에서"
        " 발산: 발산한 가장 낮은 학습률 {diverged}, 끝까지 학습된 가장 높은 학습률 {finished}.",
        "divergence.never": "보고서: 학습률 {reported} 이상에서 손실이 NaN. 재현에서는 {finished}까지"
        " 발산하지 않음.",
        "divergence.own": "발산하지 않은 가장 높은 학습률은 {finished}, 발산한 가장 낮은 학습률은 {diverged}.",
        "cost": "{first} 대비 {second}: 파라미터 {weights}백만 개 변화 ({weights_share} %), 학습 시간"
        " {seconds}초 변화 ({seconds_share} %).",
        "cost.weights": "{first} 대비 {second}: 파라미터 {weights}백만 개 변화 ({weights_share} %).",
        "depth": "{epochs} Epoch 학습 후 깊이가 두 배가 될 때마다 정확도 {points}%p (95 % 신뢰 구간 {low} ~"
        " {high}){form}",
        "depth.higher": ". 깊을수록 좋음.",
        "depth.lower": ". 깊을수록 나쁨.",
        "depth.same": ". 깊이에 따른 차이를 구분할 수 없음.",
        "patience": "{first} Epoch에서 {last} Epoch로 늘리면 그 기울기가 {points}%p 변함 (95 % 신뢰 구간"
        " {low} ~ {high}){form}",
        "patience.higher": ". 깊은 모델이 따라잡음: 더 오래 학습해야 함.",
        "patience.lower": ". 깊은 모델이 더 뒤처짐.",
        "patience.same": ". 오래 학습하는 것이 깊은 모델에 더 도움이 되는지 구분할 수 없음.",
        "ceiling": "{name}의 답이 라벨과 다른 테스트 이미지는 {mistakes}장. 그중 사람이 살펴본 {judged}장에서"
        " 사람도 라벨이 틀렸다고 본 이미지는 {agree}장, {share} (95 % 신뢰 구간 {low} ~ {high}), 두 답이 모두 맞다고"
        " 본 이미지는 {both}장. 실수하지 않는 모델도 이 라벨들과는 다를 것이므로 지금의 라벨로는 최대 {best}.",
        "ceiling.none": "{name}의 답이 라벨과 다른 테스트 이미지는 {mistakes}장. 아직 아무도 판정하지 않음.",
        "limits": "{name}: 보고서보다 정답이 {short}장 적음. 알려진 원인: hold-out 정확도는 {middle} epoch에서"
        " {before}, 마지막 {epochs} epoch에서 {after}. 초기 가중치는 {weights}. 좌우 반전 이미지의 예측과 평균하면"
        " 테스트 정확도 {mirrored}. 오답 {mistakes}장 중 사람이 살펴본 {judged}장에서 라벨만 맞음 {label}장, 모델의"
        " 답만 맞음 {answer}장, 둘 다 맞음 {both}장, 둘 다 틀림 {neither}장. 시도한 것: {tried}.",
        "tried.size": "{sizes}픽셀 이미지",
        "tried.again": "모든 선택이 끝난 뒤 이미지 {images}장 전체로 다시 학습",
    },
}

# The report is in Korean with English technical words; these are its terms and class names.
TERMS = {
    "ko": {
        "overall accuracy": "전체 평균 정확도",
        "accuracy per class": "클래스별 정확도",
        "validation accuracy": "검증 정확도",
        "loss": "손실",
        "loss curve": "Loss Curve",
        "confusion matrix": "Confusion Matrix (혼동 행렬)",
        "structure": "구조",
        "output dimension": "출력 차원",
        "training": "학습",
        "learning rate": "학습률(Lr)",
        "epoch": "Epoch",
        "conditions of the model": "모델 조건",
        "increase": "증가",
        "decrease": "감소",
        "confidence interval": "신뢰 구간",
        "final goal reached": "최종 목표 달성",
        "questions": "질문",
        "buildings": "건물",
        "forests": "숲",
        "glacier": "빙하",
        "mountains": "산",
        "sea": "바다",
        "street": "거리",
        "model": "모델",
        "report": "보고서",
        "report: train": "보고서: train",
        "report: val": "보고서: val",
        "report: interval": "보고서: 신뢰 구간",
        "ours": "재현",
        "ours: interval": "재현: 신뢰 구간",
        "accuracy": "정확도",
        "hold-out accuracy": "hold-out 정확도",
        "95 % interval": "95 % 신뢰 구간",
        "images right": "정답",
        "± images": "± 이미지",
        "± points": "± %p",
        "verdict": "판정",
        "class": "클래스",
        "final loss": "마지막 손실",
        "diverged at step": "발산한 step",
        "training seconds": "학습 시간(초)",
        "seconds": "시간(초)",
        "parameters": "parameter 수",
        "device": "장치",
        "layer": "layer",
        "calculation": "계산",
        "output": "출력",
        "net": "모델",
        "factor": "f(t)",
        "as written": "슬라이드의 식",
        "search": "탐색",
        "trainings": "학습 횟수",
        "best": "최고",
        "with new seeds": "새 시드",
        "most important first": "중요한 것부터",
        "least important first": "덜 중요한 것부터",
        "ratio": "비율",
        "usual: images/s": "tutorial: 이미지/초",
        "ours: images/s": "재현: 이미지/초",
        "careful: images/s": "careful: 이미지/초",
        "ratio to careful": "careful 대비 비율",
        "peak GB": "최대 메모리(GB)",
        "of the matrix rate": "행렬곱 속도 대비",
        "first batch, s": "첫 batch(초)",
        "time in arithmetic": "계산에 쓰인 시간",
        "its share of the rate": "계산 중 속도 대비",
        "measured": "측정값",
        "type": "종류",
        "input": "입력",
        "specification": "상세",
        "condition": "조건",
        "epochs": "Epoch 수",
        "schedule": "Scheduler",
        "seeds": "시드별 평균",
        "claim": "주장",
        "what matters": "중요한 것",
        "why": "이유",
        "slide": "슬라이드",
        "experiments to come": "실행할 실험",
        "experiment": "실험",
        "profile": "프로필",
        "seed": "시드",
        "reading": "읽는 방법",
        "status": "상태",
        "judged on": "평가 데이터",
        "date": "날짜",
    }
}


def template(key: str, language: str = "en") -> str:
    """The template of a sentence.

    Raises:
        SceneError: for a language that is none of ``LANGUAGES``.
    """
    if language not in LANGUAGES:
        raise SceneError(f"language {language!r} is unknown; known: {', '.join(LANGUAGES)}")
    return SENTENCES[language][key]


def term(word: str, language: str = "en") -> str:
    """A technical term or class name in the language; what has no translation stays as it is."""
    return TERMS.get(language, {}).get(word, word)


def points(difference: float, sign: bool = True) -> str:
    """A difference of accuracies in points: 0.0258 is ``+2.6``."""
    text = f"{difference * 100:{'+' if sign else ''}.1f}"
    return (text.lstrip("+-") if float(text) == 0 else text).replace("-", "−")


def _interval_points(low: float, high: float) -> dict[str, str]:
    return {"low": points(low, sign=False), "high": points(high, sign=False)}


def _interval_accuracy(correct: int, total: int) -> dict[str, str]:
    low, high = wilson_interval(correct, total)
    return {"accuracy": f"{correct / total:.4f}", "low": f"{low:.4f}", "high": f"{high:.4f}"}


def accuracy(name: str, correct: int, total: int, language: str = "en") -> str:
    """How many images a model has right, and its accuracy with Wilson's interval."""
    values = _interval_accuracy(correct, total)
    return template("accuracy", language).format(
        name=name, correct=f"{correct:,}", total=f"{total:,}", **values
    )


def difference(comparison: Comparison, first: str, second: str, language: str = "en") -> str:
    """What the second model fixes and breaks of the first, the difference, and the form that fits."""
    form = template(f"difference.{comparison.verdict}", language).format(first=first, second=second)
    return template("difference", language).format(
        first=first,
        second=second,
        fixes=f"{comparison.fixes:,}",
        breaks=f"{comparison.breaks:,}",
        total=f"{comparison.total:,}",
        points=points(comparison.difference),
        form=form,
        **_interval_points(comparison.low, comparison.high),
    )


def against_report(name: str, correct: int, total: int, reported: float, language: str = "en") -> str:
    """Whether our interval contains the report's figure, of which only the total is known."""
    low, high = wilson_interval(correct, total)
    form = verdict((low - reported, high - reported))
    images = abs(correct - round(reported * total))
    told = template(f"report.{form}", language).format(name=name, images=f"{images:,}", reported=f"{reported:.4f}")
    return told.replace(" 1 images", " 1 image")


def target(name: str, correct: int, total: int, goal: float, language: str = "en") -> str:
    """Whether a goal is reached, by the interval."""
    low, high = wilson_interval(correct, total)
    form = verdict((low - goal, high - goal))
    values = _interval_accuracy(correct, total)
    return template(f"target.{form}", language).format(name=name, target=f"{goal:.0%}", **values)


def seeds(comparison: SeedComparison, first: str, second: str, language: str = "en") -> str:
    """Two recipes over several seeds: means, spreads, difference."""
    return template("seeds", language).format(
        first=first,
        second=second,
        seeds=comparison.seeds,
        first_mean=points(comparison.first_mean, sign=False),
        first_spread=points(comparison.first_spread, sign=False),
        second_mean=points(comparison.second_mean, sign=False),
        second_spread=points(comparison.second_spread, sign=False),
        points=points(comparison.difference),
        form=template(f"difference.{comparison.verdict}", language).format(first=first, second=second),
        **_interval_points(comparison.low, comparison.high),
    )


def calibration(
    errors: tuple[float, float], interval: tuple[float, float], first: str, second: str, language: str = "en"
) -> str:
    """Two calibration errors and the interval of their difference (``evaluation.compare_calibration``)."""
    return template("calibration", language).format(
        first=first,
        second=second,
        first_error=points(errors[0], sign=False),
        second_error=points(errors[1], sign=False),
        points=points(errors[1] - errors[0]),
        form=template(f"calibration.{verdict(interval)}", language).format(first=first, second=second),
        **_interval_points(*interval),
    )


def ensemble(analysis: EnsembleAnalysis, members: list[str], language: str = "en") -> str:
    """Where the members disagree, and what the vote rescues and loses."""
    counts = {
        name: f"{getattr(analysis, name):,}"
        for name in ("total", "disagree", "rescued", "lost", "none_right")
    }
    return template("ensemble", language).format(best=members[analysis.best], **counts)


def ceiling(
    name: str, mistakes: int, judged: int, agree: int, both: int, total: int, language: str = "en"
) -> str:
    """How many of a model's mistakes are labels that a person rejects too, and what that leaves to reach.

    Args:
        agree: judged mistakes whose label the person rejects; ``both``: those where label and answer fit.
        total: test images.
    """
    if judged == 0:
        return template("ceiling.none", language).format(name=name, mistakes=f"{mistakes:,}")
    low, high = wilson_interval(agree, judged)
    return template("ceiling", language).format(
        name=name,
        mistakes=f"{mistakes:,}",
        judged=f"{judged:,}",
        agree=f"{agree:,}",
        share=f"{agree / judged:.0%}",
        low=f"{low:.0%}",
        high=f"{high:.0%}",
        both=f"{both:,}",
        best=f"{1 - agree / total:.1%}",
    )


def limits(run: Run, reported: float, verdicts: pd.Series, language: str = "en") -> str:
    """What is known of why a model stays below the report's accuracy.

    Args:
        verdicts: of a person on its mistakes, one of ``labels.VERDICTS`` each, NaN where not judged.
    """
    curve = run.history.set_index("epoch")["holdout_accuracy"]
    middle = max(1, round(0.75 * run.epochs))
    mirrored = (run.arrays["test_logits_mirror"].argmax(1) == run.labels).mean()
    counts = {each: f"{(verdicts == each).sum():,}" for each in ("label", "answer", "both", "neither")}
    return template("limits", language).format(
        name=run.title, short=f"{round(reported * run.total) - run.correct:,}", epochs=run.epochs, middle=middle,
        before=f"{curve[middle]:.4f}", after=f"{curve[run.epochs]:.4f}", mirrored=f"{mirrored:.4f}",
        weights=re.sub(r" \(sha256 \w+\)", "", run.pretrained_source) or "nothing",
        judged=f"{verdicts.notna().sum():,}", mistakes=f"{len(verdicts):,}", tried=tried(run, language), **counts,
    )  # fmt: skip


def tried(run: Run, language: str = "en") -> str:
    """What a run's recipe, or its members', adds to plain training on the images as they are."""
    recipes = run.recipe.get("members", [run.recipe])
    sizes = ", ".join(dict.fromkeys(str(recipe["input_size"]) for recipe in recipes))
    means = [template("tried.size", language).format(sizes=sizes)]
    means += ["Mixup"] * any(recipe["mixup"] for recipe in recipes)
    means += ["CutMix"] * any("cutmix" in recipe["augmentation"] for recipe in recipes)
    means += ["distillation"] * any(recipe["distillation"] for recipe in recipes)
    if "refit" in run.record:
        means.append(template("tried.again", language).format(images=f"{run.refit['images']:,}"))
    return ", ".join(means)


def grown(first_answers, second_answers, labels, first: str, second: str, language: str = "en") -> str:
    """How far a member grown from another has come to disagree with it; answers and labels are integers (N,)."""
    differ = first_answers != second_answers
    return template("grown", language).format(
        first=first,
        second=second,
        images=f"{differ.sum():,}",
        total=f"{len(labels):,}",
        share=f"{differ.mean():.1%}",
        first_right=f"{(differ & (first_answers == labels)).sum():,}",
        second_right=f"{(differ & (second_answers == labels)).sum():,}",
    )


def changes(table: pd.DataFrame, language: str = "en") -> str:
    """Which class gains and which loses most images (``evaluation.class_changes``)."""

    def told(row: pd.Series, worth_telling: bool) -> str:
        if not worth_telling:
            return template("nothing", language)
        images = f"{row['net']:+,}".replace("-", "−")
        return template("change", language).format(name=escaped(term(row["class"], language)), images=images)

    best, worst = table.loc[table["net"].idxmax()], table.loc[table["net"].idxmin()]
    return template("changes", language).format(
        gained=told(best, best["net"] > 0), lost=told(worst, worst["net"] < 0)
    )


def confused(pairs: pd.DataFrame, language: str = "en") -> str:
    """The two classes that are most often taken for one another (``evaluation.confused_pairs``)."""
    row = pairs.iloc[0].to_dict()
    if row["images"] == 0:
        return template("confused.never", language)
    names = {side: escaped(term(row[side], language)) for side in ("first", "second")}
    return template("confused", language).format(**(row | names))


def claim(reported: float, comparison: Comparison, first: str, second: str, language: str = "en") -> str:
    """Whether a difference that the report states survives our interval."""
    form = report_facts.claim_verdict(reported, comparison.interval)
    return template(f"claim.{form}", language).format(
        first=first,
        second=second,
        reported=points(reported),
        points=points(comparison.difference),
        **_interval_points(comparison.low, comparison.high),
    )


def change(before: float, after: float, unit: float = 1) -> tuple[str, str]:
    """A change in units and in per cent, both with their sign."""
    amount, share = f"{(after - before) / unit:+,.1f}", f"{(after / before - 1) * 100:+,.0f}"
    return amount.replace("-", "−"), share.replace("-", "−")


def cost(first: Run, second: Run, language: str = "en") -> str:
    """What a second run costs beyond the first: weights and, where both had one processor, training time."""
    key = "cost" if same_processor(first, second) else "cost.weights"
    weights, weights_share = change(first.parameters, second.parameters, 1e6)
    seconds, seconds_share = change(first.seconds, second.seconds)
    return template(key, language).format(
        first=first.title, second=second.title, weights=weights, weights_share=weights_share,
        seconds=seconds, seconds_share=seconds_share,
    )  # fmt: skip


def depth(slope: tuple[float, float, float], epochs: int, language: str = "en") -> str:
    """Whether deeper is better or worse after ``epochs``: the slope per doubling and its interval."""
    value, low, high = slope
    form = template(f"depth.{verdict((low, high))}", language)
    values = {"points": points(value), "form": form} | _interval_points(low, high)
    return template("depth", language).format(epochs=epochs, **values)


def patience(change: tuple[float, float, float], first: int, last: int, language: str = "en") -> str:
    """Whether the deeper nets catch up between ``first`` and ``last`` epochs: the slope's change and interval."""
    value, low, high = change
    form = template(f"patience.{verdict((low, high))}", language)
    values = {"points": points(value), "form": form} | _interval_points(low, high)
    return template("patience", language).format(first=first, last=last, **values)


def divergence(sweep: pd.DataFrame, reported: float | None, language: str = "en") -> str:
    """Whether the loss becomes NaN from the report's learning rate on, and only from there.

    Args:
        sweep: columns learning_rate and diverged_step, as ``plots.learning_rate_sweep`` takes it.
        reported: the report's learning rate; None on other images than the report's.
    """
    ended, rates = pd.to_numeric(sweep["diverged_step"]).notna(), sweep["learning_rate"]
    nothing = template("nothing", language)
    finished = nothing if ended.all() else f"{rates[~ended].max():g}"
    diverged = f"{rates[ended].min():g}" if ended.any() else nothing
    form = "own" if reported is None else divergence_form(sweep, reported)
    return template(f"divergence.{form}", language).format(
        reported=reported, finished=finished, diverged=diverged
    )


def divergence_form(sweep: pd.DataFrame, reported: float) -> str:
    """Where runs diverge: from the report's rate on (``confirmed``), from ``higher`` or ``lower`` ones, ``never``."""
    ended, rates = pd.to_numeric(sweep["diverged_step"]).notna(), sweep["learning_rate"]
    if not ended.any():
        return "never"
    if rates[ended].min() < reported:
        return "lower"
    return "higher" if (rates[~ended] >= reported).any() else "confirmed"


SIMPLEST_FIRST = ("constant", "cosine", "one-cycle", "multistep")  # by how much there is to set, beside the rate


def schedules(accuracies: Mapping[str, Sequence[float]], language: str = "en") -> list[str]:
    """Which schedule is best over seeds, which cannot be told from it, and which to choose.

    Args:
        accuracies: hold-out accuracies, one a seed, of each of ``SIMPLEST_FIRST`` (at least two seeds each).
    """
    means = {name: float(np.mean(values)) for name, values in accuracies.items()}
    best, worst = max(means, key=means.get), min(means, key=means.get)
    same, apart = [], []
    for name in accuracies:
        if name != best:
            lower = compare_seeds(accuracies[best], accuracies[name]).verdict == "lower"
            (apart if lower else same).append(name)
    choice = min([best, *same], key=SIMPLEST_FIRST.index)
    nothing = template("nothing", language) if language != "en" else "none"
    told = {"best": best, "worst": worst, "choice": choice, "seeds": min(map(len, accuracies.values()))}
    told |= {"apart": ", ".join(apart) or nothing, "same": ", ".join(same) or nothing}
    for place in ("best", "worst"):
        values = accuracies[told[place]]
        told[f"{place}_mean"] = points(means[told[place]], sign=False)
        told[f"{place}_spread"] = points(float(np.std(values, ddof=1)), sign=False)
    return [template(key, language).format(**told) for key in ("schedules", "schedules.apart", "schedules.choice")]


def importance(shares: Mapping[str, float], trials: int, language: str = "en") -> str:
    """What matters most and least in a hyperparameter study (``tuning.importances``, largest first)."""
    names = list(shares)
    told = {"trials": trials}
    for place, name in (("first", names[0]), ("second", names[1]), ("last", names[-1])):
        told |= {place: setting(name, language), f"{place}_share": f"{shares[name]:.0%}"}
    return template("importance", language).format(**told)


def order(names: Sequence[str], comparison: SeedComparison, language: str = "en") -> str:
    """In which order to tune; ``comparison`` is the least important first against the most important first."""
    told = [setting(name, language) for name in names]
    return template(f"order.{comparison.verdict}", language).format(first=told[0], order=", ".join(told))


def setting(name: str, language: str = "en") -> str:
    """A hyperparameter's name in words."""
    return term("Mixup strength" if name == "mixup" else name.replace("_", " "), language)


def second_layer(comparison: Comparison, weights: int, language: str = "en") -> str:
    """Whether AlexNet's second fully connected layer earns its ``weights`` (one layer against two)."""
    return template(f"second_layer.{comparison.verdict}", language).format(
        total=f"{comparison.total:,}", weights=f"{weights / 1e6:.1f}"
    )
