"""What the report says, by language: titles of its slides, questions, templates; numbers come from records.

Both languages have the same keys, and each text the same places and digits in both.
"""

# ruff: noqa: E501 (a Hangul letter counts as two)

from __future__ import annotations

TEXTS = {
    "en": {
        # --- first page
        "title": "Scene classification: a report, reproduced",
        "intro": "A course report sorts small photographs into {classes} kinds of scene with {models} models, on"
        " {slides} slides. This page goes through the slides in their order: the experiments run again, our"
        " results beside the report's. Every figure and every sentence is made from recorded runs; the small"
        " print under a slide names them.",
        "intro.own": "A course report sorts photographs with {models} models, on {slides} slides. This page runs its"
        " experiments on other images ({classes} classes), so the comparison with the report is left out. Every"
        " figure and every sentence is made from recorded runs; the small print under a slide names them.",
        "reading": "Accuracies are fractions of the {total} test images (the folder `val`). Choices are made on the"
        " hold-out, a tenth of the folder `train`. A difference is called higher or lower only where its 95 % interval"
        " leaves 0 out; where it does not, the two are not to be told apart.",
        "reading.again": "The test images were read several times while recipes changed, as `report/readings.csv` shows,"
        " so accuracies on them are slightly optimistic.",
        "edition": "Profile {profile}, seed {seed}, images: {source}.",
        "commit": "{source} at commit {commit}",
        "rehearsal": "**This is a rehearsal.** The profile `sample` trains for seconds, on {train} images: it shows"
        " that everything works. Its accuracies are no results, and nothing here speaks for or against the"
        " report.",
        "summary": "Summary",
        "summary.count": "Of the report's {all} models, ours are more accurate than the report's in {higher}, less"
        " accurate in {lower}, not to be told apart in {same}; not run: {missing}.",
        "summary.claims": "Of the report's {all} claims {survives} survive an interval, {opposite} turn out"
        " otherwise, {open} stay open; not run: {missing}.",
        "summary.own": "The most accurate of our {all} models is {best} ({accuracy}); not to be told apart from it:"
        " {same}.",
        "summary.final": "The final model has not run.",
        "against.higher": "higher",
        "against.lower": "lower",
        "against.same": "not to be told apart",
        "against.missing": "not run",
        # --- slides
        "slide.1": "Data",
        "slide.2": "LeNet: output dimensions",
        "slide.3": "LeNet: training",
        "slide.4": "LeNet: loss curve",
        "slide.5": "LeNet: confusion matrix",
        "slide.6": "CustomLeNet: structure",
        "slide.7": "CustomLeNet: code",
        "slide.8": "CustomLeNet: accuracy curve, loss curve",
        "slide.9": "CustomLeNet: confusion matrix",
        "slide.10": "AlexNet: structure",
        "slide.11": "AlexNet: code",
        "slide.12": "AlexNet: confusion matrix",
        "slide.13": "ResNet: depth",
        "slide.14": "ResNet18: confusion matrix",
        "slide.15": "ResNet18 + Mixup: confusion matrix",
        "slide.16": "ResNet18 + transferred: confusion matrix",
        "slide.17": "Final model",
        "slide.18": "Final model: conditions",
        "slide.19": "Final model: validation accuracy curve",
        "slide.20": "Final model: confusion matrix",
        "slide.21": "Questions",
        "not run": "**Not run yet.** One command runs it:",
        "part not run": "**In part not run yet.** One command runs the rest:",
        "diverged": "**{name}: the loss became infinite at step {step}**, so there is no model to judge.",
        "data.report": "The report downloads the images inside its notebook and moves into their folder:",
        "data.ours": "Ours is one line. It fetches the same images once, at a pinned commit, or reads the sample that"
        " comes with the package, or a folder of one's own:",
        "data.removed": "Images of the folder `train` that are also in the folder `val`: {removed}. Our models train"
        " without them; the hold-out is then taken out of the rest, class by class.",
        "data.none": "The images are not at hand, so there is nothing to count; the next command fetches them:",
        "dimensions": "Each output size is computed from the one before it: (size + 2 × padding − kernel) ÷ stride,"
        " rounded down, + 1. The last column is measured in a forward pass.",
        "dimensions.reading": "The report does not print LeNet's table; this is the net of the course that it comes"
        " from.",
        "sweep": "{runs} runs, each {epochs} epochs at a constant rate; {diverged} of them diverged.",
        "curve": "{name}: training loss {first} after epoch 1, {last} after epoch {epochs}; hold-out accuracy at the"
        " end {accuracy}, at best {best} (epoch {at}).",
        "structure": "Generated from the model itself. It returns logits: the softmax is in the loss.",
        "structure.lenet": "There is no activation after its convolutions.",
        "structure.alexnet": "Row {row}, a dropout on the {classes} logits, is in the report and so it is in the"
        " reproduction; slide 21 and the notebook on AlexNet measure what its parts are worth.",
        "code": "Attributes carry the report's names, so that state dicts can be exchanged.",
        "depth": "The report: deeper ResNets do worse here, and the deeper the network, the longer it must train. It"
        " names no depths; these are ours. All train from scratch under one budget and are compared on the"
        " hold-out.",
        "depth.own": "ResNets of rising depth, all from scratch under one budget, compared on the hold-out.",
        "final": "Three networks, transferred and trained with Mixup, answer together. That their probabilities are"
        " averaged is our reading; the report says that they are used together.",
        "conditions": "The report names its conditions for this model only. Where it names none, its reading (the"
        " experiments `…-reported`) assumes them.",
        "assumed": "{value} (assumed)",
        "formula": "The report's formula multiplies by f(t), which falls at each milestone. Its MultiStepLR means"
        " η<sub>t</sub> = η<sub>0</sub> · f(t). The slide writes the rate of the epoch before on the right-hand"
        " side, η<sub>t</sub> = η<sub>t−1</sub> · f(t): taken literally, the rate is cut again at every epoch and"
        " vanishes. Rates are those at the end of the epochs named.",
        "holdout": "Judged on the hold-out at the last epoch.",
        "wall.title": "What no model gets",
        "wall": "{none} of {total} test images are right in none of the {models} models, {all} in all of them.",
        "wall.few": "This takes two models at least; it shows once they have run.",
        "confused.title": "What remains confused",
        "confused": "Test images of one class taken for the other, in either direction. From {first} to {last}: {pairs}.",
        "confused.pair": "{pair} {before} → {after}",
        # --- questions
        "question.a": "(a) How is a scheduler chosen: by what criterion does one get good performance?",
        "question.b": "(b) In which order are hyperparameters usually tuned?",
        "question.c": "(c) AlexNet has two fully connected layers of 4096: why does this model leave one out?",
        "answer.a": "Same model, same budget, and then the accuracy on the hold-out at the end: {best} has {accuracy}."
        " Told apart from it: {apart}. Not to be told apart: {same}; among those one may take the simplest.",
        # --- claims
        "claims": "Which claims survive an interval",
        "claims.how": "The report gives single figures. Its own interval is what those allow: for an accuracy"
        " Wilson's, for a difference one that takes the two models' images as unrelated (Newcombe's), as which"
        " images changed is not known. Ours is paired, image by image. The verdict is about ours.",
        "claims.own": "The claims are about the report's images; on others they are neither true nor false.",
        "claims.weak": "Not settled by the report's own figures, whose interval allows the opposite: {names}.",
        "claims.firm": "Each of the report's figures stands outside what chance alone allows.",
        "claim.divergence": "LeNet's loss becomes NaN from a learning rate of {rate} on",
        "claim.lower": "{second} is less accurate than {first}",
        "claim.higher": "{second} is more accurate than {first}",
        "claim.depth": "deeper ResNets do worse (accuracy on the hold-out per doubling of the depth)",
        "claim.longer": "the deeper, the longer they must train (rise of that slope with more epochs)",
        "claim.goal": "the final model reaches {goal}",
        "survives": "survives",
        "opposite": "does not hold",
        "open": "not to be told",
        "missing": "not run",
        # --- which model
        "choice": "Which model should I choose for my task?",
        "choice.how": "From these runs, on these images: what each model reaches, and what it costs. Diamonds are test"
        " results, thin lines the report's accuracies.",
        "choice.how.own": "From these runs, on these images: what each model reaches, and what it costs.",
        "choice.none": "No model has run yet; the advice is made from records.",
        "choice.devices": "The seconds were taken on different devices ({devices}): compare them with care.",
        "aim.accurate": "the highest accuracy",
        "aim.cheap": "as good, and cheaper to train",
        "aim.scratch": "no pretrained weights that fit my images",
        "aim.small": "little memory, a small device",
        "aim.quick": "an answer soon",
        "advice.accurate": "{accuracy} ({low} … {high}); not to be told apart from it: {same}.",
        "advice.cheap": "Not to be told apart from the most accurate, and of those the shortest training: {seconds} s"
        " instead of {best_seconds} s.",
        "advice.cheap.none": "No cheaper model comes so close that the images could not tell it from the best.",
        "advice.scratch": "The most accurate of those that start from nothing: {accuracy}.",
        "advice.small": "{parameters} parameters, {accuracy}.",
        "advice.quick": "{seconds} s of training, {accuracy}.",
        "price": "The price of a point: from {quick} to {best} it takes {seconds} s more for {points} points more,"
        " {price} s a point.",
        # --- what is missing, appendix
        "beyond.title": "Appendix: beyond the report",
        "beyond": "Not in the report: a small student of the ensemble, which comes with the package, and all models with"
        " borrowed weights together, each asked about an image and its mirror image, with weights chosen on the"
        " hold-out. The notebook `A1_beyond` has the details.",
        "beyond.cost": "What each model costs: seconds of training (on a CPU those of all its cores together; a"
        " student's without its teacher's), and milliseconds for an answer.",
        "beyond.ceiling": "The labels that it contradicts most confidently, each with a person's verdict:",
        "missing.title": "Slides that are missing",
        "missing.none": "None: every slide's experiment has run.",
        "missing.slides": "{count} of {all} slides wait for a run, in whole or in part. `make report PROFILE={profile}`"
        " runs everything.",
        "readings": "Appendix: other readings of the same models",
        "readings.how": "One number per model stands above. Here are the others on the same test images: the report's"
        " own conditions (`…-reported`: all of the folder `train`, what it leaves open assumed), other seeds and"
        " profiles, the members of the ensemble, and readings in which the probabilities of each image and its"
        " mirror image are averaged.",
        "readings.weights": "The weights that a model started from stand in its row. This repeats those models with"
        " torchvision's own ImageNet weights, where there is a network to download them:",
        "plain": "as it is",
        "mirror": "averaged with the mirror image",
        "runs": "Appendix: all runs",
        "runs.how": "{count} runs on these images, all that this page could draw on. Seconds are those of training.",
        "bench": "Appendix: benchmark",
        "bench.how": "Training with this project's engine and with the usual tutorial loop, side by side in one run on"
        " {device}, {date}: medians over {repeats} repeats. Memory is that of the process, usual / ours. The matrix rate is"
        " what this machine reaches in multiplying large matrices in the precision of ours; the last two columns say"
        " how much of the time goes into convolutions and matrices, and at what share of that rate these run.",
        "bench.checks": "The careful loop is the usual one with channels-last and bfloat16 autocast. After the same {steps}"
        " steps on the same batches the mean losses of the three differ by at most {spread}. Our engine decodes all images"
        " once, before the first epoch, in {seconds} s; the other two decode them in every epoch.",
        "none": "none",
        "nothing": "no run yet",
        "provenance.study": "tuning: LeNet, profile {profile}, seed {seed}, {epochs} epochs of {images} training images,"
        " {trainings} trainings, {seconds} s",
        "all": "all",
        "provenance": "{names}: profile {profile}, seed {seed}, {epochs} epochs{again}, {weights}, {seconds} s on {device}"
        " in {precision}, {date}, torch {torch}, engine {engine}, images {images}",
        "again": ", then again on all {count} images",
        "seven": "Runs: those of the summary, where the small print names them.",
        "scratch": "from scratch",
        "many": "{first} to {last} ({count} runs)",
    },
    "ko": {
        "title": "장면 분류(Scene Classification): 보고서의 재현",
        "intro": "수업 보고서는 작은 사진을 {classes}가지 장면으로 분류하는 모델 {models}개를 슬라이드 {slides}장에 걸쳐"
        " 다룬다. 이 페이지는 슬라이드 순서 그대로 실험을 다시 실행하고, 재현 결과를 보고서의 값과 나란히 보여 준다."
        " 모든 그림과 문장은 실행 기록에서 만들어지며, 각 슬라이드 아래의 작은 글씨가 그 출처를 밝힌다.",
        "intro.own": "수업 보고서는 모델 {models}개를 슬라이드 {slides}장에 걸쳐 다룬다. 이 페이지는 같은 실험을 다른"
        " 이미지(클래스 {classes}개)로 실행하므로 보고서와의 비교는 생략한다. 모든 그림과 문장은 실행 기록에서"
        " 만들어지며, 각 슬라이드 아래의 작은 글씨가 그 출처를 밝힌다.",
        "reading": "정확도는 테스트 이미지(폴더 `val`) {total}장에 대한 비율이다. 선택은 hold-out(폴더 `train`의"
        " 일부)에서 한다. 95 % 신뢰 구간이 0을 포함하지 않을 때만 증가 또는 감소라고 하고, 포함하면 차이를 구분할 수"
        " 없다고 한다.",
        "reading.again": "학습 방법을 바꾸는 동안 테스트 이미지를 여러 번 읽었으므로(`report/readings.csv`) 테스트 정확도는"
        " 조금 낙관적이다.",
        "edition": "프로필 {profile}, 시드 {seed}, 이미지: {source}.",
        "commit": "{source}, commit {commit}",
        "rehearsal": "**예행연습.** 프로필 `sample`은 이미지 {train}장으로 몇 초 동안만 학습하여 전체 과정이"
        " 동작하는지를 보여 준다. 이 정확도는 결과가 아니며, 보고서에 대해 아무것도 말해 주지 않는다.",
        "summary": "요약",
        "summary.count": "보고서의 모델 {all}개 중 재현 쪽이 더 정확한 모델 {higher}개, 덜 정확한 모델 {lower}개, 차이를"
        " 구분할 수 없는 모델 {same}개, 미실행 {missing}개.",
        "summary.claims": "보고서의 주장 {all}개 중 신뢰 구간으로 확인된 주장 {survives}개, 성립하지 않는 주장"
        " {opposite}개, 구분할 수 없는 주장 {open}개, 미실행 {missing}개.",
        "summary.own": "모델 {all}개 중 정확도가 가장 높은 모델: {best} ({accuracy}). 이와 차이를 구분할 수 없는 모델:"
        " {same}.",
        "summary.final": "최종 모델은 아직 실행되지 않음.",
        "against.higher": "증가",
        "against.lower": "감소",
        "against.same": "구분할 수 없음",
        "against.missing": "미실행",
        "slide.1": "데이터",
        "slide.2": "LeNet: 출력 차원",
        "slide.3": "LeNet: 학습",
        "slide.4": "LeNet: Loss Curve",
        "slide.5": "LeNet: Confusion Matrix",
        "slide.6": "CustomLeNet: 구조",
        "slide.7": "CustomLeNet: 코드",
        "slide.8": "CustomLeNet: Accuracy Curve, Loss Curve",
        "slide.9": "CustomLeNet: Confusion Matrix",
        "slide.10": "AlexNet: 구조",
        "slide.11": "AlexNet: 코드",
        "slide.12": "AlexNet: Confusion Matrix",
        "slide.13": "ResNet: 깊이",
        "slide.14": "ResNet18: Confusion Matrix",
        "slide.15": "ResNet18 + Mixup: Confusion Matrix",
        "slide.16": "ResNet18 + transferred: Confusion Matrix",
        "slide.17": "최종 모델",
        "slide.18": "최종 모델: 모델 조건",
        "slide.19": "최종 모델: 검증 정확도 Curve",
        "slide.20": "최종 모델: Confusion Matrix",
        "slide.21": "질문",
        "not run": "**아직 실행되지 않음.** 실행 명령:",
        "part not run": "**일부가 아직 실행되지 않음.** 나머지 실행 명령:",
        "diverged": "**{name}: step {step}에서 손실이 무한대가 됨.** 평가할 모델이 없음.",
        "data.report": "보고서는 notebook 안에서 이미지를 내려받고 그 폴더로 이동한다.",
        "data.ours": "재현에서는 한 줄이다. 같은 이미지를 고정된 commit으로 한 번만 내려받거나, 패키지에 포함된 sample을"
        " 읽거나, 자신의 이미지 폴더를 읽는다.",
        "data.removed": "폴더 `train`의 이미지 중 폴더 `val`에도 있는 이미지: {removed}장. 재현 모델은 이를 빼고 학습하며, 나머지에서 클래스별로 hold-out을 나눈다.",
        "data.none": "이미지가 없어 셀 수 없음. 내려받는 명령:",
        "dimensions": "출력 크기는 바로 앞의 크기에서 계산한다: (크기 + 2 × padding − kernel) ÷ stride를 내림하고 + 1."
        " 마지막 열은 실제 forward pass에서 측정한 값이다.",
        "dimensions.reading": "보고서는 LeNet의 구조 표를 싣지 않았다. 여기서는 그 수업에서 다루는 LeNet을 따른다.",
        "sweep": "일정한 학습률로 {epochs} Epoch씩 {runs}번 학습, 그중 {diverged}번 발산.",
        "curve": "{name}: 학습 손실은 Epoch 1 이후 {first}, Epoch {epochs} 이후 {last}. Hold-out 정확도는 마지막에"
        " {accuracy}, 최고 {best} (Epoch {at}).",
        "structure": "모델에서 직접 생성한 표. 모델은 logits를 반환하며 softmax는 손실 함수에 들어 있다.",
        "structure.lenet": "Convolution 뒤에 활성화 함수가 없다.",
        "structure.alexnet": "{row}행의 dropout은 logits {classes}개에 적용된다. 보고서에 있으므로 재현에도 넣었다. 각 부분의"
        " 효과는 슬라이드 21과 AlexNet notebook에서 측정한다.",
        "code": "속성 이름은 보고서와 같아서 state dict를 서로 바꾸어 쓸 수 있다.",
        "depth": "보고서: 더 깊은 ResNet의 성능이 더 낮고, 깊을수록 더 오래 학습해야 한다. 깊이는 적혀 있지 않아 직접 골랐다."
        " 모두 같은 예산으로 처음부터 학습하고 hold-out에서 비교한다.",
        "depth.own": "깊이가 다른 ResNet을 같은 예산으로 처음부터 학습하고 hold-out에서 비교한다.",
        "final": "전이 학습과 Mixup으로 학습한 세 모델을 함께 사용한다. 확률의 평균을 낸다는 것은 우리의 해석이며, 보고서는 함께"
        " 사용한다고만 적었다.",
        "conditions": "보고서는 이 모델의 조건만 밝힌다. 밝히지 않은 조건은 보고서의 해석(실험 `…-reported`)에서 가정한 값이다.",
        "assumed": "{value} (가정)",
        "formula": "보고서의 식은 milestone마다 작아지는 f(t)를 곱한다. MultiStepLR의 뜻은 η<sub>t</sub> = η<sub>0</sub> · f(t)이다."
        " 슬라이드는 우변에 이전 Epoch의 학습률을 써서 η<sub>t</sub> = η<sub>t−1</sub> · f(t)로 적었다. 그대로 읽으면 매 Epoch마다 다시"
        " 줄어들어 사라진다. 표의 학습률은 해당 구간의 마지막 Epoch의 값이다.",
        "holdout": "마지막 Epoch의 hold-out 기준.",
        "wall.title": "어느 모델도 맞히지 못한 이미지",
        "wall": "테스트 이미지 {total}장 중 모델 {models}개가 모두 틀린 이미지 {none}장, 모두 맞힌 이미지 {all}장.",
        "confused.title": "여전히 혼동되는 클래스",
        "confused": "한 클래스의 테스트 이미지를 다른 클래스로 답한 수(양방향). {first}에서 {last}까지: {pairs}.",
        "confused.pair": "{pair} {before} → {after}",
        "wall.few": "두 개 이상의 모델이 실행되면 표시된다.",
        "question.a": "(a) Scheduler는 어떻게 고르는가: 어떤 기준으로 정해야 좋은 성능을 얻는가?",
        "question.b": "(b) Hyperparameter는 보통 어떤 순서로 조정하는가?",
        "question.c": "(c) AlexNet에는 4096개 뉴런의 fully connected layer가 두 개 있는데, 왜 이 모델은 하나를 뺐는가?",
        "answer.a": "같은 모델과 같은 예산으로 학습한 뒤 hold-out 정확도로 정한다. 가장 높은 것은 {best} ({accuracy})."
        " 이보다 확실히 낮은 것: {apart}. 차이를 구분할 수 없는 것: {same}. 구분할 수 없다면 가장 단순한 것을 고르면 된다.",
        "claims": "신뢰 구간으로 확인되는 주장",
        "claims.how": "보고서에는 값만 있다. 보고서의 신뢰 구간은 그 값으로 계산할 수 있는 것이다: 정확도는 Wilson 구간, 정확도의"
        " 차이는 어떤 이미지가 바뀌었는지 알 수 없으므로 두 모델의 이미지를 독립으로 본 Newcombe 구간. 재현의 구간은 같은 이미지끼리"
        " 짝지어 비교한 것이고, 판정은 재현에 대한 것이다.",
        "claims.own": "보고서의 주장은 보고서의 이미지에 대한 것이므로 다른 이미지에서는 판정하지 않는다.",
        "claims.weak": "보고서의 값만으로는 결정되지 않는 주장 (보고서의 신뢰 구간에 반대의 경우도 포함됨): {names}.",
        "claims.firm": "보고서의 값은 모두 우연의 범위를 벗어난다.",
        "claim.divergence": "학습률 {rate} 이상에서 LeNet의 손실이 NaN",
        "claim.lower": "{second}의 정확도가 {first}보다 낮음",
        "claim.higher": "{second}의 정확도가 {first}보다 높음",
        "claim.depth": "더 깊은 ResNet의 성능이 더 낮음 (깊이가 두 배가 될 때 hold-out 정확도의 변화)",
        "claim.longer": "깊을수록 더 오래 학습해야 함 (Epoch를 늘릴 때 그 기울기의 변화)",
        "claim.goal": "최종 모델이 목표 {goal} 달성",
        "survives": "확인됨",
        "opposite": "성립하지 않음",
        "open": "구분할 수 없음",
        "missing": "미실행",
        "choice": "내 문제에는 어떤 모델을 골라야 하는가?",
        "choice.how": "이 이미지로 실행한 기록에 따른 각 모델의 정확도와 비용. 그림의 마름모는 테스트 정확도, 가는 선은 보고서의"
        " 정확도.",
        "choice.how.own": "이 이미지로 실행한 기록에 따른 각 모델의 정확도와 비용.",
        "choice.none": "실행된 모델이 없음. 조언은 기록에서 만들어진다.",
        "choice.devices": "학습 시간이 서로 다른 장치({devices})에서 측정되었으므로 비교에 주의.",
        "aim.accurate": "가장 높은 정확도",
        "aim.cheap": "비슷한 정확도, 더 짧은 학습",
        "aim.scratch": "내 이미지에 맞는 pretrained weights가 없음",
        "aim.small": "적은 메모리, 작은 장치",
        "aim.quick": "빠른 결과",
        "advice.accurate": "{accuracy} ({low} … {high}). 차이를 구분할 수 없는 모델: {same}.",
        "advice.cheap": "가장 정확한 모델과 차이를 구분할 수 없는 모델 중 학습이 가장 짧음: {best_seconds}초 대신 {seconds}초.",
        "advice.cheap.none": "가장 정확한 모델과 구분할 수 없을 만큼 가까운 더 짧은 모델은 없음.",
        "advice.scratch": "처음부터 학습한 모델 중 가장 정확함: {accuracy}.",
        "advice.small": "Parameter {parameters}개, {accuracy}.",
        "advice.quick": "학습 {seconds}초, {accuracy}.",
        "price": "%p당 값: {quick} → {best}, {seconds}초를 더 들여 {points}%p 증가, %p당 {price}초.",
        "beyond.title": "부록: 보고서를 넘어서",
        "beyond": "보고서에 없는 것: 패키지에 포함된, 앙상블에게 배운 작은 모델, 그리고 pretrained weights에서 시작한 모든 모델을"
        " 함께 쓰는 것(각 모델이 이미지와 좌우를 뒤집은 이미지에 답하고, 가중치는 hold-out에서 고른다). 자세한 내용은 notebook"
        " `A1_beyond`에 있다.",
        "beyond.cost": "각 모델의 비용: 학습 시간(초, CPU에서는 모든 core의 합, 배우는 모델의 값에는 가르치는 모델의 학습 시간이 들어"
        " 있지 않음)과 답 하나에 걸리는 시간(밀리초).",
        "beyond.ceiling": "이 모델이 가장 확신하며 라벨과 다르게 답한 이미지와 사람의 판정:",
        "missing.title": "빠진 슬라이드",
        "missing.none": "없음: 모든 슬라이드의 실험이 실행됨.",
        "missing.slides": "슬라이드 {all}장 중 {count}장의 실험이 전부 또는 일부 실행되지 않음. `make report PROFILE={profile}`"
        " 명령으로 모두 실행된다.",
        "readings": "부록: 같은 모델의 다른 측정값",
        "readings.how": "위에는 모델마다 하나의 값만 실었다. 다음은 같은 테스트 이미지에 대한 나머지 값이다: 보고서의 조건"
        " (`…-reported`: 폴더 `train` 전체로 학습, 밝히지 않은 조건은 가정), 다른 시드와 프로필, 앙상블의 각 모델, 그리고 이미지와"
        " 좌우를 뒤집은 이미지의 확률을 평균한 값.",
        "readings.weights": "각 모델이 시작한 weights는 해당 행에 적혀 있다. 네트워크에서 내려받을 수 있는 곳에서 torchvision의"
        " ImageNet weights로 이 모델들을 다시 실행하는 명령:",
        "plain": "그대로",
        "mirror": "좌우를 뒤집은 이미지와 평균",
        "runs": "부록: 모든 실행",
        "runs.how": "이 이미지로 실행된 기록 {count}개. 이 페이지의 모든 값은 여기에서 나온다. 시간은 학습 시간(초).",
        "bench": "부록: Benchmark",
        "bench.how": "{device}에서 {date}에 이 프로젝트의 학습 코드와 흔히 쓰는 tutorial 코드를 나란히 {repeats}번씩 측정한"
        " 중앙값. 메모리는 process 전체, tutorial / 재현. Matrix rate는 이 컴퓨터가 같은 정밀도에서 큰 행렬을 곱하는 속도이고, 마지막 두"
        " 열은 convolution과 행렬곱에 쓰인 시간의 비율과 그때의 속도를 matrix rate에 대한 비율로 나타낸 것이다.",
        "bench.checks": "careful은 tutorial 코드에 channels-last와 bfloat16 autocast를 더한 것이다. 같은 batch로 {steps} step을"
        " 학습한 뒤 세 코드의 평균 손실 차이는 최대 {spread}이다. 재현은 첫 epoch 전에 모든 이미지를 {seconds}초 동안 한 번만"
        " decode하고, 나머지 둘은 epoch마다 decode한다.",
        "none": "없음",
        "nothing": "아직 실행 없음",
        "provenance.study": "tuning: LeNet, 프로필 {profile}, 시드 {seed}, 학습 이미지: {images}, {epochs} Epoch,"
        " 학습 {trainings}회, {seconds}초",
        "all": "전체",
        "provenance": "{names}: 프로필 {profile}, 시드 {seed}, {epochs} Epoch{again}, {weights}, {device}에서 {seconds}초"
        " ({precision}), {date}, torch {torch}, engine {engine}, 이미지 {images}",
        "again": " 후 이미지 {count}장 전체로 다시 학습",
        "seven": "실행: 요약에 적힌 것과 같음. 출처는 요약의 작은 글씨에 있음.",
        "scratch": "처음부터 학습",
        "many": "{first} ~ {last} (실행 {count}개)",
    },
}
