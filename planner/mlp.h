// A fully connected network while it is trained: loss, gradient and Adam, in double precision, samples as
// columns. For planner/predictor_training.cpp and its tests alone; what is trained is run by
// planner/predictor.h.
#pragma once

#include <vector>

#include <Eigen/Core>

#include "planner/random_bits.h"

namespace einet {

struct Mlp {
  struct Layer {
    Eigen::MatrixXd weight;  // outputs x inputs
    Eigen::VectorXd bias;
  };
  std::vector<Layer> layers;  // with max(x, 0) between them

  // Hidden weights uniform with variance 2 / inputs (He et al., 2015); the last layer is zero, so all outputs
  // are.
  static Mlp make(const std::vector<int>& widths, RandomBits&);
};

// Output k of a sample says that something holds with probability sigmoid(base_k + output_k).
struct MlpBatch {
  Eigen::MatrixXd input;   // inputs x samples
  Eigen::MatrixXd base;    // outputs x samples
  Eigen::MatrixXd target;  // the same, in [0, 1]: what the probability should be
  Eigen::MatrixXd weight;  // the same, >= 0: how much each one counts
};

// The mean cross-entropy, by weight; 0 if nothing counts. `gradient`: null, or of any shape, becomes the
// derivative by every weight and bias.
double loss(const Mlp&, const MlpBatch&, Mlp* gradient);

// Adam (Kingma and Ba, ICLR 2015) with the usual constants, and decay of weights beside it (Loshchilov and
// Hutter, ICLR 2019).
class Adam {
 public:
  void step(Mlp& network, const Mlp& gradient, double rate, double decay);

 private:
  Mlp mean_, square_;
  int steps_ = 0;
};

}  // namespace einet
