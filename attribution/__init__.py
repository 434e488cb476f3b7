"""Attribution maps for image classifiers: which pixels determine a prediction.

Terms used throughout:

    x           the photo as the network sees it, (3, H, W), pixels in [0, 1]
    target      the class and the score to explain
    score       the explained number: a probability, log-odds in nats, or a logit
    baseline    an uninformative image, with which the photo is compared
    path        images from the baseline to the photo
    steps       the number of gradient evaluations along the path
    delta       the error of a complete method's sum: the sum of the values minus the score difference

Each method's class cites its source.
"""

from attribution import baselines as baselines
from attribution import export as export
from attribution.analysis import Analysis as Analysis
from attribution.baselines import BASELINES as BASELINES
from attribution.baselines import read_baseline as read_baseline
from attribution.checks import faithfulness as faithfulness
from attribution.checks import sanity as sanity
from attribution.checks.probe import Probe as Probe
from attribution.checks.probe import probe as probe
from attribution.drawing.view import View as View
from attribution.engine import attribute as attribute
from attribution.engine import compare as compare
from attribution.export.notebook import show as show
from attribution.methods import METHODS as METHODS
from attribution.methods import read_method as read_method
from attribution.methods.activations.finer_cam import FinerCAM as FinerCAM
from attribution.methods.activations.grad_cam import GradCAM as GradCAM
from attribution.methods.activations.grad_cam_plus_plus import GradCAMPlusPlus as GradCAMPlusPlus
from attribution.methods.activations.guided_grad_cam import GuidedGradCAM as GuidedGradCAM
from attribution.methods.activations.hires_cam import HiResCAM as HiResCAM
from attribution.methods.activations.layer_cam import LayerCAM as LayerCAM
from attribution.methods.activations.score_cam import ScoreCAM as ScoreCAM
from attribution.methods.attention.attention_relevance import AttentionRelevance as AttentionRelevance
from attribution.methods.attention.attention_rollout import AttentionRollout as AttentionRollout
from attribution.methods.gradients.gradient import Gradient as Gradient
from attribution.methods.gradients.guided_backprop import GuidedBackprop as GuidedBackprop
from attribution.methods.gradients.input_x_gradient import InputXGradient as InputXGradient
from attribution.methods.gradients.smoothgrad import SmoothGrad as SmoothGrad
from attribution.methods.gradients.smoothgrad_squared import SmoothGradSquared as SmoothGradSquared
from attribution.methods.gradients.vargrad import VarGrad as VarGrad
from attribution.methods.gradients.zeiler_fergus import ZeilerFergus as ZeilerFergus
from attribution.methods.paths.blur_integrated_gradients import BlurIntegratedGradients as BlurIntegratedGradients
from attribution.methods.paths.guided_integrated_gradients import GuidedIntegratedGradients as GuidedIntegratedGradients
from attribution.methods.paths.idgi import IDGI as IDGI
from attribution.methods.paths.integrated_gradients import IntegratedGradients as IntegratedGradients
from attribution.methods.perturbations.kernel_shap import KernelSHAP as KernelSHAP
from attribution.methods.perturbations.lime import LIME as LIME
from attribution.methods.perturbations.occlusion import Occlusion as Occlusion
from attribution.methods.perturbations.rise import RISE as RISE
from attribution.methods.propagation.deep_lift import DeepLIFT as DeepLIFT
from attribution.methods.propagation.lrp import LRP as LRP
from attribution.models import MODELS as MODELS
from attribution.models import load_model as load_model
from attribution.models.served import serve as serve
from attribution.models.wrap import wrap as wrap
from attribution.network.model import Model as Model
from attribution.photo.cells import Cells as Cells
from attribution.photo.crop import Crop as Crop
from attribution.photo.decode import open_image as open_image
from attribution.refusal import Refusal as Refusal
from attribution.result import VERSION as VERSION
from attribution.result import Attribution as Attribution
from attribution.result import Results as Results
from attribution.result import load as load
from attribution.targets.target import Target as Target
from attribution.targets.target import read_target as read_target
